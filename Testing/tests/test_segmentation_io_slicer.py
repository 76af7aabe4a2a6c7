"""3D Slicer's own reader and writer of .seg.nrrd agree with ours about everything a file holds."""

import numpy as np
import pytest
from grid_examples import grid_matrix, rotation

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core==5.12.4.0)")
vtk = pytest.importorskip("vtk", reason="vtk is not installed")
if not hasattr(slicer, "vtkMRMLSegmentationStorageNode"):
    pytest.skip("this slicer module has no segmentation storage node", allow_module_level=True)

from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy  # noqa: E402

from InteractiveRefineLib.geometry import Geometry  # noqa: E402
from InteractiveRefineLib.segmentation import Segment, Segmentation  # noqa: E402
from InteractiveRefineLib.segmentation_io import read_segmentation, write_segmentation  # noqa: E402

TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~SCT^10200004^Liver~^^"
    "~Anatomic codes - DICOM master list~^^~^^"
)
OBLIQUE = grid_matrix(rotation(0.3, -0.2, 0.4), (0.5, 0.75, 2.5), (-12.5, 20.25, 33.0))


class Session:
    """A MRML scene with one segmentation node and its storage."""

    def __init__(self):
        self.scene = slicer.vtkMRMLScene()
        self.node = slicer.vtkMRMLSegmentationNode()
        self.scene.AddNode(self.node)
        self.storage = slicer.vtkMRMLSegmentationStorageNode()
        self.scene.AddNode(self.storage)
        self.node.SetAndObserveStorageNodeID(self.storage.GetID())
        self.segmentation = self.node.GetSegmentation()

    def read(self, path):
        self.storage.SetFileName(str(path))
        assert self.storage.ReadData(self.node)
        return self

    def write(self, path, crop=False):
        self.storage.SetFileName(str(path))
        self.storage.SetCropToMinimumExtent(crop)
        assert self.storage.WriteData(self.node)
        return path

    def add(self, name, mask, matrix, color=(1.0, 0.5, 0.0), tags=()):
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(*color)
        for key, value in dict(tags).items():
            segment.SetTag(key, value)
        segment.AddRepresentation("Binary labelmap", oriented_image(mask, matrix))
        assert self.segmentation.AddSegment(segment, f"id_{name}")

    def set_scan(self, shape, matrix):
        text = slicer.vtkSegmentationConverter.SerializeImageGeometry(oriented_image(np.zeros(shape), matrix))
        self.segmentation.SetConversionParameter("Reference image geometry", text)

    def segments(self):
        return [self.segmentation.GetNthSegment(n) for n in range(self.segmentation.GetNumberOfSegments())]


def oriented_image(mask, matrix):
    image = slicer.vtkOrientedImageData()
    k, j, i = mask.shape
    image.SetExtent(0, i - 1, 0, j - 1, 0, k - 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(mask, np.uint8).ravel(), deep=1))
    ijk_to_ras = vtk.vtkMatrix4x4()
    ijk_to_ras.DeepCopy(matrix.ravel())
    image.SetImageToWorldMatrix(ijk_to_ras)
    return image


def slicer_places(segment):
    """RAS positions of the voxels of one of Slicer's segments, sorted."""
    image = segment.GetRepresentation("Binary labelmap")
    extent = image.GetExtent()
    shape = (extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    matrix = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    ijk = np.argwhere(values == segment.GetLabelValue())[:, ::-1] + (extent[0], extent[2], extent[4])
    return sort_points(ijk @ matrix[:3, :3].T + matrix[:3, 3])


def our_places(segmentation, label):
    return sort_points(segmentation.geometry.to_ras(np.argwhere(segmentation.labels == label)))


def sort_points(points):
    return points[np.lexsort(np.round(points, 4).T)]


def tag_of(segment, key):
    value = vtk.reference("")
    return str(value) if segment.GetTag(key, value) else None


def example():
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 1:3, 2:4] = 1
    labels[2, 3, 4] = 2
    segments = [
        Segment("Liver", 1, (0.1, 0.25, 1.0), "liver_id", {"TerminologyEntry": TERMINOLOGY, "Note": "a:b=c\\d"}),
        Segment("Ödem, links", 2, (0.5, 0.0, 0.25)),
    ]
    return Segmentation(labels, Geometry(labels.shape, OBLIQUE), segments)


def test_slicer_reads_our_names_colors_ids_and_tags(tmp_path):
    write_segmentation(example(), tmp_path / "a.seg.nrrd")
    session = Session().read(tmp_path / "a.seg.nrrd")
    first, second = session.segments()
    assert (first.GetName(), second.GetName()) == ("Liver", "Ödem, links")
    assert first.GetColor() == pytest.approx((0.1, 0.25, 1.0))
    assert tag_of(first, "TerminologyEntry") == TERMINOLOGY
    assert tag_of(first, "Note") == "a:b=c\\d"
    assert session.segmentation.GetNthSegmentID(0) == "liver_id"
    assert not first.GetNameAutoGenerated()


def test_slicer_finds_our_voxels_at_the_same_ras_places(tmp_path):
    before = example()
    write_segmentation(before, tmp_path / "a.seg.nrrd")
    for segment, label in zip(Session().read(tmp_path / "a.seg.nrrd").segments(), (1, 2)):
        np.testing.assert_allclose(slicer_places(segment), our_places(before, label), atol=1e-6)


def test_slicer_knows_the_scan_grid_from_our_file(tmp_path):
    write_segmentation(example(), tmp_path / "a.seg.nrrd")
    text = Session().read(tmp_path / "a.seg.nrrd").segmentation.GetConversionParameter("Reference image geometry")
    image = slicer.vtkOrientedImageData()
    assert slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False)
    assert image.GetExtent() == (0, 4, 0, 3, 0, 2)


@pytest.mark.parametrize("crop", [False, True])
def test_we_read_what_slicer_writes_also_when_cropped(tmp_path, crop):
    session = Session()
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 1:3, 2:4] = True
    session.add("Leber", mask, OBLIQUE, (0.25, 0.5, 0.75), {"TerminologyEntry": TERMINOLOGY})
    session.set_scan((3, 4, 5), OBLIQUE)
    result = read_segmentation(session.write(tmp_path / "a.seg.nrrd", crop))
    (segment,) = result.segments
    assert (segment.name, segment.id, segment.color) == ("Leber", "id_Leber", (0.25, 0.5, 0.75))
    assert segment.tags["TerminologyEntry"] == TERMINOLOGY
    assert result.labels.shape == ((1, 2, 2) if crop else (3, 4, 5))
    expected = sort_points(Geometry(mask.shape, OBLIQUE).to_ras(np.argwhere(mask)))
    np.testing.assert_allclose(our_places(result, segment.label), expected, atol=1e-6)


def test_we_flatten_overlapping_segments_of_slicer_with_a_warning(tmp_path):
    session = Session()
    organ, tumor = np.zeros((2, 3, 4), bool), np.zeros((2, 3, 4), bool)
    organ[:, 1:] = True
    tumor[1, :2, 2] = True
    session.add("Organ", organ, OBLIQUE)
    session.add("Tumor", tumor, OBLIQUE)
    result = read_segmentation(session.write(tmp_path / "a.seg.nrrd"))
    assert [(s.name, s.label) for s in result.segments] == [("Organ", 1), ("Tumor", 2)]
    assert (result.labels == np.where(tumor, 2, organ)).all()
    assert result.warnings == ['"Organ" and "Tumor" overlap in 0.0009375 ml; the later one keeps these voxels.']


def test_a_cropped_file_of_slicer_comes_back_unchanged_through_us(tmp_path):
    session = Session()
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 1:3, 2:4] = True
    session.add("Leber", mask, OBLIQUE, tags={"TerminologyEntry": TERMINOLOGY})
    session.set_scan((3, 4, 5), OBLIQUE)
    session.write(tmp_path / "a.seg.nrrd", crop=True)
    write_segmentation(read_segmentation(tmp_path / "a.seg.nrrd"), tmp_path / "b.seg.nrrd")

    (before,) = Session().read(tmp_path / "a.seg.nrrd").segments()
    (after,) = Session().read(tmp_path / "b.seg.nrrd").segments()
    assert after.GetRepresentation("Binary labelmap").GetExtent() == (2, 3, 1, 2, 1, 1)
    assert before.GetRepresentation("Binary labelmap").GetExtent() == (2, 3, 1, 2, 1, 1)
    np.testing.assert_allclose(slicer_places(after), slicer_places(before), atol=1e-6)
    assert tag_of(after, "TerminologyEntry") == TERMINOLOGY
    assert after.GetNameAutoGenerated() == before.GetNameAutoGenerated()

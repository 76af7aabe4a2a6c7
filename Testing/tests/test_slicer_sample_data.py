"""The sample scan: made on this computer at first use, loaded from the cache, and known to the Sample Data module."""

import numpy as np
import pytest

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.image_io import read_volume
from InteractiveRefineLib.phantom import make_phantom


@pytest.fixture
def samples(slicer_scene, tmp_path, monkeypatch):
    import slicer

    monkeypatch.setattr(type(slicer.app), "cachePath", str(tmp_path / "cache"))
    monkeypatch.setattr(slicer.util, "setSliceViewerLayers", lambda **layers: shown.append(layers), raising=False)
    shown = []
    from InteractiveRefineScene import sample_data

    sample_data.shown = shown
    return sample_data


class SampleDataLogic:
    """As in Slicer 5.12's SampleData.py, as far as it is used; keeps what was registered."""

    def __init__(self):
        self.sources, self.rules, self.categories = [], {}, {}

    def registerCustomSampleDataCategory(self, category, title):
        self.categories[category] = title

    def registerUrlRewriteRule(self, name, rewriteFunction):
        self.rules[name] = rewriteFunction

    def registerCustomSampleDataSource(
        self, category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
        thumbnailFileName=None, loadFileTypes=None, loadFiles=None, loadFileProperties=None, checksums=None,
        loadFileType=None,
    ):  # fmt: skip
        self.sources.append(dict(category=category, name=sampleName, uri=uris, file=fileNames, load=customDownloader))


def test_the_sample_is_the_demos_phantom_and_lies_where_the_library_says(samples):
    node = samples.loadPhantom()
    expected, _ = make_phantom(samples.PHANTOM_SEED, shift="domain")
    from InteractiveRefineScene.volumes import readVolume

    loaded = readVolume(node)
    assert loaded.geometry.matches(expected.geometry)
    np.testing.assert_array_equal(loaded.array, expected.array)
    assert node.GetName() == "Phantom CT"


def test_the_example_strokes_lie_in_the_missed_organs_of_this_patient(samples):
    import slicer

    from InteractiveRefineScene.example_strokes import exampleStrokes
    from InteractiveRefineScene.volumes import geometryOf

    volume = samples.loadPhantom()
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for name in ("spleen", "liver"):
        segmentation.GetSegmentation().AddEmptySegment(name, name)
    truth = make_phantom(samples.PHANTOM_SEED, shift="domain")[1]
    pairs = exampleStrokes(volume, segmentation, count=5)
    assert [stroke.target for stroke, _ras in pairs] == ["liver", "spleen"], "not the largest error first"
    for stroke, ras in pairs:
        kji = tuple(np.round(geometryOf(volume).to_kji(ras)).astype(int))
        label = truth.segment_named(stroke.target).label
        assert (truth.labels.reshape(-1)[stroke.indices] == label).all()
        assert truth.labels[kji] == label, "the slices would go elsewhere"


def test_there_are_no_example_strokes_for_somebody_elses_scan(samples):
    import slicer

    from InteractiveRefineScene.example_strokes import exampleStrokes

    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer.util.updateVolumeFromArray(volume, np.zeros((3, 4, 5), dtype=np.int16))
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    with pytest.raises(InputError, match="not the example"):
        exampleStrokes(volume, segmentation)


def test_it_is_shown_and_leaves_no_storage_node_that_points_into_the_cache(samples):
    node = samples.loadPhantom()
    assert samples.shown == [{"background": node, "fit": True}]
    assert node.GetStorageNode() is None


def test_the_file_is_made_once(samples, tmp_path):
    path = samples.phantomFile()
    assert path == tmp_path / "cache" / samples.FILE_NAME
    made = path.stat().st_mtime_ns
    assert samples.phantomFile() == path
    assert path.stat().st_mtime_ns == made


def test_an_empty_file_of_an_interrupted_write_is_replaced(samples):
    path = samples.phantomFile()
    path.write_bytes(b"")
    assert read_volume(samples.phantomFile()).array.shape == (56, 80, 104)


def test_a_damaged_file_is_removed_and_the_user_may_try_again(samples, slicer_scene, monkeypatch):
    import slicer

    path = samples.phantomFile()
    logic = slicer.modules.volumes.logic()
    monkeypatch.setattr(slicer.modules.volumes, "logic", lambda: Unreadable(), raising=False)
    with pytest.raises(RuntimeError, match="could not be read.*try again"):
        samples.loadPhantom()
    assert not path.exists()
    monkeypatch.setattr(slicer.modules.volumes, "logic", lambda: logic)
    assert samples.loadPhantom() is not None


class Unreadable:
    """The logic of the Volumes module with a file it cannot read."""

    def AddArchetypeVolume(self, path, name):
        return None


def test_a_cache_folder_that_cannot_be_written_is_explained(samples, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((InputError, OSError)):
        samples.phantomFile(tmp_path / "file" / "below")


def test_slicer_learns_of_it_with_a_button_and_a_rule_for_scripts(samples):
    logic = SampleDataLogic()
    samples.registerSampleData(logic)
    (source,) = logic.sources
    assert (source["category"], source["name"]) == ("InteractiveRefine", "InteractiveRefinePhantom")
    assert source["load"] is samples.loadPhantom  # the button of the Sample Data module calls it
    (rule,) = logic.rules.values()  # SampleData.downloadSample() asks it
    assert rule(source["uri"]) == samples.phantomFile().as_uri()
    assert rule("https://example.org/scan.nrrd") == "https://example.org/scan.nrrd"
    assert logic.categories == {"InteractiveRefine": "Interactive Refine"}


def test_an_older_slicer_without_rules_and_titles_registers_the_sample_as_well(samples):
    class Older(SampleDataLogic):
        registerUrlRewriteRule = property()
        registerCustomSampleDataCategory = property()

    logic = Older()
    samples.registerSampleData(logic)
    assert len(logic.sources) == 1


def test_the_registration_finds_slicers_own_module(samples):
    samples.registerSampleData()
    import SampleData

    sources = SampleData.SampleDataLogic.sources
    assert sources[-1]["sampleName"] == samples.SAMPLE_NAME

"""Grow from seeds, the effect of 3D Slicer's Segment Editor: fast grow-cut (Zhu et al. 2014), by slicer-core."""

from __future__ import annotations

import numpy as np

from Testing.evidence.method import Method
from Testing.evidence.methods.intensities import one_channel
from Testing.evidence.methods.seeds import FromSeeds

#: Slicer's "seed locality": what a step of one mm costs besides the difference of intensities. The effect's
#: default is kept.
LOCALITY = 0.0
#: Slicer's filter counts in whole intensities of the scan; 0..1 becomes 0..this.
LEVELS = 1000.0


def grow_cut(image: np.ndarray, seeds: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """(K, J, I) labels by Slicer's own filter; of several channels it sees the first principal component.

    Args:
        image: (C, K, J, I) intensities between 0 and 1.
        seeds: (K, J, I), -1 = unknown.
        spacing: in mm along K, J, I.
    """
    from slicer_core.vtkSlicerSegmentationsModuleLogic import vtkImageGrowCutSegment
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData  # noqa: F401 the filter's answer must have its Python class

    # The filter gives no label to the image's outermost voxels.
    intensities = np.pad(one_channel(image) * LEVELS, 1, mode="edge").astype(np.float32)
    markers = np.pad(seeds + 1, 1).astype(np.int16)
    grower = vtkImageGrowCutSegment()
    grower.SetIntensityVolume(_vtk_image(intensities, spacing))
    grower.SetSeedLabelVolume(_vtk_image(markers, spacing))
    grower.SetDistancePenalty(LOCALITY * LEVELS)
    grower.Update()
    found = vtk_to_numpy(grower.GetOutput().GetPointData().GetScalars()).reshape(markers.shape)
    return found[1:-1, 1:-1, 1:-1].astype(np.int16) - 1


def _vtk_image(array: np.ndarray, spacing: tuple[float, float, float]):
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    image.SetSpacing(*spacing[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(array.ravel(), deep=True))
    return image


METHODS = (
    Method(
        "Grow from seeds",
        lambda case: FromSeeds(case, grow_cut),
        cites="Zhu et al. 2014; vtkImageGrowCutSegment of 3D Slicer (slicer-core)",
        needs=("slicer_core", "vtkmodules"),
    ),
)

"""The sample scan: a made-up abdominal CT, generated on this computer at first use; nothing is downloaded."""

import os
from pathlib import Path

import slicer
from slicer.i18n import tr as _

CATEGORY = "InteractiveRefine"
SAMPLE_NAME = "InteractiveRefinePhantom"
NODE_NAME = "Phantom CT"
FILE_NAME = "InteractiveRefinePhantom1.nrrd"
#: The demo's patient, as from another scanner: the shipped network errs clearly on it, which is to be corrected.
PHANTOM_SEED = 20019
_SCHEME = "interactiverefine:phantom"


def phantomFile(folder=None):
    """Path of the sample scan in `folder` (default: Slicer's cache folder), made there if it is missing (0.5 s).

    Raises:
        InteractiveRefineLib.errors.InputError: the folder cannot be written; says why.
    """
    from InteractiveRefineLib.image_io import write_volume
    from InteractiveRefineLib.phantom import make_phantom

    path = Path(folder or slicer.app.cachePath) / FILE_NAME
    if not path.is_file() or path.stat().st_size == 0:
        os.makedirs(path.parent, exist_ok=True)
        write_volume(make_phantom(PHANTOM_SEED, shift="domain")[0], path)
    return path


def loadPhantom(source=None):
    """Load the sample scan into the scene and show it in the slice views.

    Args:
        source: the SampleDataSource when Slicer's Sample Data module calls this; not needed.

    Returns:
        The new vtkMRMLScalarVolumeNode. It has no storage node: saving the scene writes it anew, as with any sample.

    Raises:
        RuntimeError: Slicer cannot read the file.
    """
    path = phantomFile()
    node = slicer.modules.volumes.logic().AddArchetypeVolume(str(path), NODE_NAME)
    if node is None:
        path.unlink(missing_ok=True)  # made anew at the next try
        raise RuntimeError(_("The sample scan could not be read from {path}. Please try again.").format(path=path))
    slicer.mrmlScene.RemoveNode(node.GetStorageNode())
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


def registerSampleData(sampleData=None):
    """Add the sample scan to Slicer's Sample Data module. Harmless when called again.

    Args:
        sampleData: the class SampleDataLogic; None imports it.
    """
    if sampleData is None:
        from SampleData import SampleDataLogic as sampleData
    if hasattr(sampleData, "registerCustomSampleDataCategory"):  # since 5.11; before, the category is its own title
        sampleData.registerCustomSampleDataCategory(CATEGORY, title=_("Interactive Refine"))
    if hasattr(sampleData, "registerUrlRewriteRule"):
        # SampleData.downloadSample() knows no custom downloaders, but asks the rules where to find a file.
        sampleData.registerUrlRewriteRule("InteractiveRefinePhantom", _rewritten)
    icons = Path(__file__).resolve().parent.parent / "Resources" / "Icons"
    sampleData.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        uris=_SCHEME,
        fileNames=FILE_NAME,
        nodeNames=NODE_NAME,
        thumbnailFileName=str(icons / f"{SAMPLE_NAME}.png"),
        customDownloader=loadPhantom,
    )


def _rewritten(url):
    """The file of our own made-up address; other addresses as they are."""
    return phantomFile().as_uri() if url == _SCHEME else url

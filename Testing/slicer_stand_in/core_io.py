"""Loading and saving as slicer.util asks for it: scenes, volumes and segmentations."""

from pathlib import Path

import slicer


class CoreIOManager:
    """`slicer.app.coreIOManager()` for the file types that the tests need."""

    def __init__(self, scene, application_logic):
        self._scene = scene
        self._logic = application_logic

    def fileType(self, path):
        name = str(path).lower()
        if name.endswith((".mrml", ".mrb")):
            return "SceneFile"
        if name.endswith((".seg.nrrd", ".seg.nhdr")):
            return "SegmentationFile"
        return "VolumeFile"

    def saveNodes(self, filetype, properties, messages=None):
        """True when written; a scene goes to .mrb (everything) or .mrml (the scene file alone)."""
        path = Path(str(properties["fileName"]))
        if filetype == "SceneFile":
            if path.suffix == ".mrb":
                return bool(self._scene.WriteToMRB(str(path), None, messages))
            self._scene.SetURL(str(path))
            return bool(self._scene.Commit(str(path)))
        node = self._scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(str(path))
        return bool(storage.WriteData(node))

    def loadNodes(self, filetype, properties, collection=None, messages=None):
        """True when loaded; loaded nodes are added to the vtkCollection."""
        path = Path(str(properties["fileName"]))
        if filetype == "SceneFile":
            clear = bool(properties.get("clear", False))
            if path.suffix == ".mrb":
                return bool(self._scene.ReadFromMRB(str(path), clear, messages))
            self._scene.SetURL(str(path))
            return bool(self._scene.Connect() if clear else self._scene.Import())
        if filetype == "SegmentationFile":
            node = slicer.modules.segmentations.logic().LoadSegmentationFromFile(str(path), True)
        else:
            logic = slicer.modules.volumes.logic()
            node = logic.AddArchetypeVolume(str(path), properties.get("name", path.name.split(".")[0]))
        if node is not None and collection is not None:
            collection.AddItem(node)
        return node is not None

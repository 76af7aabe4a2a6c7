"""`slicer` without Qt: real slicer-core with a scene, the module logics, slicer.app, i18n and packaging."""

import shutil
import tempfile
import types
from pathlib import Path

import slicer

from . import python_packages
from .application import Application
from .problems import problems
from .subject_hierarchy import SubjectHierarchyKeeper


class CoreModule:
    """What `slicer.modules.<name>` is for a C++ module here: a name and a logic."""

    def __init__(self, name, logic):
        self.name = name
        self.title = name
        self._logic = logic

    def logic(self):
        return self._logic


class CoreSession:
    """One scene with everything around it; a test gets a new one, so that nothing of the last test can be in it."""

    def __init__(self):
        problems.watch_vtk()
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self._logics = {}
        self._modules = types.SimpleNamespace()
        self.application_logic.SetMRMLScene(self.scene)
        self._folder = Path(tempfile.mkdtemp(prefix="stand-in-"))
        self._add_data_io()
        self.application = Application(self.scene, self.application_logic)
        self.application.temporaryPath = self._folder
        slicer.mrmlScene = self.scene
        slicer.app = self.application
        slicer.modules = self._modules
        slicer.selfTests = {}
        self._add("Segmentations", slicer.vtkSlicerSegmentationsModuleLogic())
        self._add("Volumes", slicer.vtkSlicerVolumesLogic())
        # Without the color logic every volume display node prints an error.
        colors = self.application_logic.GetColorLogic()
        colors.SetMRMLScene(self.scene)
        self._add("Colors", colors, own=False)
        self._tree = SubjectHierarchyKeeper(self.scene)
        python_packages.install(self)

    def _add_data_io(self):
        """Without a cache folder a .mrb cannot be read."""
        remote, logic = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
        for part in (remote, logic):
            part.SetMRMLApplicationLogic(self.application_logic)
        remote.GetCacheManager().SetRemoteCacheDirectory(str(self._folder))
        self.application_logic.SetTemporaryPath(str(self._folder))
        self.application_logic.SetMRMLSceneDataIO(self.scene, remote, logic)
        self._data_io = remote, logic

    def _add(self, name, logic, own=True):
        if own:
            logic.SetMRMLApplicationLogic(self.application_logic)
            logic.SetMRMLScene(self.scene)
        self.application_logic.SetModuleLogic(name, logic)
        self._logics[name] = logic
        setattr(self._modules, name.lower(), CoreModule(name, logic))

    def close(self):
        """Closes the scene and breaks the ties, so that the nodes are gone before the next test."""
        self._tree.stop()
        self.scene.Clear(1)
        for name in self._logics:
            self.application_logic.SetModuleLogic(name, None)
        self.application_logic.SetMRMLScene(None)
        self.application_logic.SetMRMLSceneDataIO(None, *self._data_io)
        python_packages.uninstall()
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in ("mrmlScene", "app", "modules"):
            if hasattr(slicer, name):
                delattr(slicer, name)

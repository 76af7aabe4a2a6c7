"""How child processes of Slicer find their interpreter and this library: the worker and the test of torch."""

import os
import shutil
import sys
from pathlib import Path

import slicer


def pythonExecutable():
    """Path of the interpreter for child processes: PythonSlicer inside Slicer, else this process's own."""
    found = shutil.which("PythonSlicer")  # Slicer's launcher puts its folder on PATH
    if found:
        return found
    name = "PythonSlicer.exe" if os.name == "nt" else "PythonSlicer"
    home = getattr(slicer.app, "slicerHome", "") or ""
    for folder in (Path(home) / "bin", Path(sys.executable).parent):
        if (folder / name).is_file():
            return str(folder / name)
    return sys.executable  # no Slicer around: tests, or a Slicer that is itself a Python package


def workerEnvironment(ownPython=True):
    """Variables for a child process.

    Args:
        ownPython: True for the interpreter of this Slicer, which needs Slicer's own variables and is told where the
            library lies; False for any other program (ssh, srun, a container), which Slicer's libraries would break.
    """
    if not ownPython:
        startup = getattr(slicer.util, "startupEnvironment", None)
        return dict(startup() if startup is not None else os.environ)
    import InteractiveRefineLib

    library = str(Path(InteractiveRefineLib.__file__).resolve().parent.parent)
    environment = dict(os.environ)
    paths = [library] + [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    return environment

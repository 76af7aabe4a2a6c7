"""The command line that starts a worker."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..errors import InputError


def worker_command(setting: str = "", python: str = "") -> list[str]:
    """Program and arguments that start a worker.

    Args:
        setting: as the user typed it, such as "ssh gpu-box interactive-refine worker"; quotes group words as in a
            shell, but no shell is started. "" = `python` with this library on this computer.
        python: interpreter for an empty setting; "" = the one that runs this.

    Raises:
        InputError: a quote is missing.
    """
    if not setting.strip():
        return [python or sys.executable, "-m", "InteractiveRefineLib", "worker"]
    try:
        # Backslashes are part of Windows' paths, not a way to escape.
        words = shlex.split(setting, posix=os.name != "nt")
    except ValueError as error:
        raise InputError(f"The worker's command cannot be read ({error}): {setting}") from error
    return [word.strip('"') for word in words] if os.name == "nt" else words


def own_group() -> dict[str, Any]:
    """Options of `subprocess.Popen`: a process group of its own, and on Windows no window.

    A console opened there for a program without one, as 3D Slicer is, would end the process when the user closes it.
    """
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def worker_environment(setting: str = "") -> dict[str, str]:
    """Environment for `worker_command` with the same setting: an interpreter of ours is told where the library lies."""
    environment = dict(os.environ)
    if not setting.strip():
        library = str(Path(__file__).resolve().parents[2])
        others = environment.get("PYTHONPATH", "").split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([library, *filter(None, others)]))
    return environment

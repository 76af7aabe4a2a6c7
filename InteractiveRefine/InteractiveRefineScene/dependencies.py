"""Torch: whether it works, in plain words, and its installation through the PyTorch extension, both only when asked.

Nothing here is imported, started or installed when the module is loaded. Torch is looked at in a child process: a
broken one could take Slicer with it, and a loaded one could not be replaced.
"""

import inspect
import logging
import os
import subprocess

import slicer
from slicer.i18n import tr as _

from .worker_process import pythonExecutable, workerEnvironment

#: What the library needs, as the PyTorch extension wants it said.
TORCH_REQUIREMENT = ">=2.4"
#: The first import of torch from a cold disk, with a virus scanner, has been seen to take a minute.
PROBE_TIMEOUT_S = 180


class DependencyError(RuntimeError):
    """Torch cannot be had; the text says what to do."""


def torchSeemsInstalled():
    """False where torch is plainly missing. Only looks for its folder, which is instant; `probeTorch` really tries."""
    import importlib.util

    importlib.invalidate_caches()
    return importlib.util.find_spec("torch") is not None


def probeTorch(python=None, timeout=PROBE_TIMEOUT_S):
    """Load torch in a child process and compute one tiny thing with it. Takes seconds.

    Returns:
        `InteractiveRefineLib.torch_probe.TorchReport`; a child that crashes or hangs counts as a broken torch.
    """
    from InteractiveRefineLib import torch_probe

    command = [python or pythonExecutable(), "-m", "InteractiveRefineLib.torch_probe"]
    hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
    try:
        run = subprocess.run(
            command,
            env=workerEnvironment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            **hidden,
        )
        return torch_probe.TorchReport.from_json(run.stdout)
    except subprocess.TimeoutExpired:
        detail = f"no answer within {timeout} s"
    except OSError as error:
        detail = str(error)
    except ValueError:
        words = run.stderr.strip().splitlines()
        detail = f"the test ended with code {run.returncode}" + (f": {words[-1]}" if words else "")
    logging.error("Testing torch with %s failed: %s", command, detail)
    return torch_probe.TorchReport(torch_probe.BROKEN, detail=detail)


def explain(report):
    """What a `TorchReport` means for the user, and what to do; no error codes, no jargon that cannot be looked up."""
    from InteractiveRefineLib import torch_probe as states

    texts = {
        states.MISSING: _(
            "PyTorch is not installed yet. Refining needs it; drawing strokes and growing them works without. "
            "Press 'Install PyTorch', or install it in the module 'PyTorch Utils'."
        ),
        states.BROKEN: _(
            "PyTorch is there but cannot be loaded; some of its files are missing or damaged ({detail}). "
            "Restart Slicer, open the module 'PyTorch Utils', press 'Uninstall PyTorch', restart, and install it again."
        ),
        states.TOO_OLD: _(
            "PyTorch {version} is too old; {requirement} is needed. Open the module 'PyTorch Utils', press "
            "'Uninstall PyTorch', restart Slicer, and install it again."
        ),
        states.CPU: _("PyTorch {version} works, on the CPU: no GPU that it can use was found. Refining takes longer."),
        states.CPU_BUILD: _(
            "PyTorch {version} works, but only on the CPU, although this computer has an NVIDIA GPU. For more speed, "
            "open 'PyTorch Utils', press 'Uninstall PyTorch', restart Slicer, and install it again with the backend "
            "'automatic'."
        ),
        states.NO_DRIVER: _(
            "PyTorch {version} works, but only on the CPU: the NVIDIA driver does not answer or is too old for CUDA "
            "{cuda}. Update the driver and restart the computer."
        ),
        states.GPU_TOO_NEW: _(
            "The GPU {gpu} ({capability}) is not supported by this PyTorch {version}, which was built for "
            "{architectures}. Refining runs on the CPU meanwhile. Open 'PyTorch Utils', press 'Uninstall PyTorch', "
            "restart Slicer, and install a newer one."
        ),
        states.GPU_FAILED: _(
            "The GPU {gpu} failed a tiny test ({detail}). Refining runs on the CPU meanwhile. Close other programs "
            "that use the GPU, update its driver, or restart the computer."
        ),
        states.GPU: _("PyTorch {version} works on the GPU {gpu}."),
    }
    return texts[report.state].format(
        version=report.version,
        requirement=TORCH_REQUIREMENT,
        cuda=report.cuda,
        gpu=report.gpu,
        capability=report.capability,
        architectures=", ".join(report.architectures),
        detail=report.detail or _("no details"),
    )


def installTorch(askConfirmation=True, backend=None):
    """Install torch through the PyTorch extension, which picks the build for this computer. Takes minutes.

    Args:
        askConfirmation: let the extension ask before it downloads.
        backend: "cpu", "cu126" and so on; None lets the extension choose.

    Returns:
        The `TorchReport` afterwards; its state is "missing" when the user declined.

    Raises:
        DependencyError: the extension is not installed, or its installation of torch failed.
    """
    wanted = {
        "askConfirmation": askConfirmation,
        "forceComputationBackend": backend,
        "torchVersionRequirement": TORCH_REQUIREMENT,
    }
    install = _pyTorchLogic().installTorch
    try:
        install(**_understood(install, wanted))
    except Exception as error:
        raise DependencyError(
            _(
                "PyTorch could not be installed: {error}. Check the connection to the internet, or follow the "
                "README's section on computers without one."
            ).format(error=error)
        ) from error
    return probeTorch()


def offerTorch():
    """Where torch is missing, ask and install it; where it is broken, say so. For the first press of Refine.

    Returns:
        True when torch can be used now.
    """
    report = probeTorch()
    if report.usable:
        logging.info(explain(report))
        return True
    if report.state == "missing":
        question = _("Refining needs PyTorch, which is not installed yet. Install it now? This may take some minutes.")
        if not slicer.util.confirmOkCancelDisplay(question, mainWindowNeeded=True):
            return False
        try:
            report = installTorch(askConfirmation=False)  # the question was just asked
        except DependencyError as error:
            slicer.util.errorDisplay(str(error))
            return False
    if not report.usable:
        slicer.util.warningDisplay(explain(report))
    return report.usable


def _pyTorchLogic():
    """The logic of the PyTorch extension.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import PyTorchUtils
    except ImportError as error:
        raise DependencyError(
            _(
                "The PyTorch extension is missing. Open the Extensions Manager (menu View), install 'PyTorch', restart "
                "Slicer, and try again."
            )
        ) from error
    return PyTorchUtils.PyTorchUtilsLogic()


def _understood(function, arguments):
    """Those of `arguments` that this release's `function` takes: it had none in 2021, and gained one every year."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return dict(arguments)
    dropped = sorted(set(arguments) - set(parameters))
    if dropped:
        logging.warning("This PyTorch extension does not know %s; update it if torch does not fit.", ", ".join(dropped))
    return {name: value for name, value in arguments.items() if name in parameters}

"""Finds out whether torch works here, without loading it into the program that asks.

    python -m InteractiveRefineLib.torch_probe

prints one line of JSON. A broken torch can take its process with it, so whoever wants to know starts this as a child.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import sys
from dataclasses import asdict, dataclass, fields

#: The library's own requirement, as in pyproject.toml.
MINIMUM_TORCH = (2, 4)

MISSING, BROKEN, TOO_OLD = "missing", "broken", "too-old"
CPU, CPU_BUILD, NO_DRIVER, GPU_TOO_NEW, GPU_FAILED, GPU = (
    "cpu",
    "cpu-build",
    "no-driver",
    "gpu-too-new",
    "gpu-failed",
    "gpu",
)
STATES = (MISSING, BROKEN, TOO_OLD, CPU, CPU_BUILD, NO_DRIVER, GPU_TOO_NEW, GPU_FAILED, GPU)


@dataclass(frozen=True)
class TorchReport:
    """What was found.

    Attributes:
        state: one of `STATES`. "cpu": no GPU to be used; "cpu-build": this torch was built without CUDA although the
            machine has an NVIDIA GPU; "no-driver": CUDA is built in but the driver does not answer; "gpu-too-new": the
            GPU's capability is not among those torch was built for; "gpu-failed": a tiny computation on it failed.
        version: of torch; empty where it cannot be loaded.
        cuda: version of CUDA that torch was built for; empty without.
        gpu: name of the first GPU.
        capability: of that GPU, such as "sm_90".
        architectures: capabilities that torch was built for.
        detail: the error's own words.
    """

    state: str
    version: str = ""
    cuda: str = ""
    gpu: str = ""
    capability: str = ""
    architectures: tuple[str, ...] = ()
    detail: str = ""

    @property
    def usable(self) -> bool:
        """True where torch computes at least on the CPU."""
        return self.state not in (MISSING, BROKEN, TOO_OLD)

    @property
    def device(self) -> str:
        """What to choose as device: "auto", or "cpu" where torch offers a GPU that it cannot compute on."""
        return "cpu" if self.state in (GPU_TOO_NEW, GPU_FAILED) else "auto"

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TorchReport:
        """The report in the last line of a probe's output; earlier lines are whatever torch had to say.

        Raises:
            ValueError: the last line is no report.
        """
        lines = text.strip().splitlines()
        entries = json.loads(lines[-1]) if lines else None
        if not isinstance(entries, dict) or entries.get("state") not in STATES:
            raise ValueError(f"Not a report about torch: {text[-200:]!r}")
        known = {field.name for field in fields(cls)}
        entries = {name: value for name, value in entries.items() if name in known}
        return cls(**{**entries, "architectures": tuple(entries.get("architectures", ()))})


def probe() -> TorchReport:
    """Load torch into THIS process, compute one tiny thing on the CPU and, where there is one, on the GPU."""
    if importlib.util.find_spec("torch") is None:
        return TorchReport(MISSING)
    try:
        torch = importlib.import_module("torch")
        version = str(torch.__version__)
        _compute_something(torch, "cpu")
    except Exception as error:
        # Half-removed packages fail in every imaginable way: no __version__, no DLL, no torch._C.
        return TorchReport(BROKEN, detail=_words(error))
    if _version_numbers(version) < MINIMUM_TORCH:
        return TorchReport(TOO_OLD, version)
    return _probe_gpu(torch, version)


def covers(architectures: tuple[str, ...], capability: tuple[int, int]) -> bool:
    """True where code built for `architectures` ("sm_86", "compute_90") runs on a GPU of `capability` (major, minor).

    Compiled code runs on later minor versions of its major version; PTX ("compute_") on everything later. An empty
    list, as of a torch that was not built for NVIDIA, says nothing and is taken for True.
    """
    built = [re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", name) for name in architectures]
    built = [(match[1], int(match[2]), int(match[3])) for match in built if match]
    if not built:
        return True
    major, minor = capability
    return any(
        (m == major and n <= minor) if kind == "sm" else (m, n) <= (major, minor) for kind, m, n in built
    )  # fmt: skip


def _probe_gpu(torch, version: str) -> TorchReport:
    """Which GPU there is and whether this torch can compute on it."""
    cuda = str(torch.version.cuda or getattr(torch.version, "hip", None) or "")
    if not cuda:
        return TorchReport(CPU_BUILD if _has_nvidia_gpu() else CPU, version)
    if not torch.cuda.is_available():
        return TorchReport(NO_DRIVER if _has_nvidia_gpu() else CPU, version, cuda)
    gpu, capability, architectures, error = "", (0, 0), (), ""
    try:
        gpu = torch.cuda.get_device_name(0)
        capability = tuple(torch.cuda.get_device_capability(0))
        architectures = tuple(torch.cuda.get_arch_list())
        _compute_something(torch, "cuda:0")
    except Exception as problem:
        error = _words(problem)
    state = GPU
    if error:
        state = GPU_FAILED if covers(architectures, capability) else GPU_TOO_NEW
    return TorchReport(state, version, cuda, gpu, "sm_{}{}".format(*capability), architectures, error)


def _compute_something(torch, device: str) -> None:
    """One tiny convolution, forth and back: it needs the kernels that a refinement needs."""
    image = torch.ones((1, 1, 4, 4, 4), device=device)
    weights = torch.ones((1, 1, 3, 3, 3), device=device, requires_grad=True)
    torch.nn.functional.conv3d(image, weights).sum().backward()
    total = float(weights.grad.sum())
    if total != 216.0:
        raise ArithmeticError(f"a tiny convolution on {device} gave {total} instead of 216")


def _has_nvidia_gpu() -> bool:
    """True where NVIDIA's driver left its tool; without a driver no torch could use the GPU anyway."""
    return shutil.which("nvidia-smi") is not None


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _words(error: BaseException) -> str:
    """The first line of what an error says, with its kind."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def main() -> int:
    """Print the report."""
    sys.stdout.write(probe().to_json() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

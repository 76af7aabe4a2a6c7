"""Sliding windows over the network's grid: where they start and how their outputs are blended."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from ..backbone.config import BackboneConfig, WindowBlend
from ..backbone.grid import Box, by_image_axis, flat_axis


@dataclass(frozen=True)
class Window:
    """One window: where it starts on the padded grid, in the order of the tensor axes."""

    start: tuple[int, int, int]

    def slices(self, size: tuple[int, int, int]) -> Box:
        """The window's box on the padded grid."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, size))


@dataclass(frozen=True)
class WindowPlan:
    """How windows cover a network's grid, all in the order of the tensor axes.

    Attributes:
        padded: shape of the padded grid.
        before: voxels of it that precede the grid.
        size: of every window.
        windows: where they start.
    """

    padded: tuple[int, int, int]
    before: tuple[int, int, int]
    size: tuple[int, int, int]
    windows: list[Window]

    @classmethod
    def of(cls, config: BackboneConfig, shape: tuple[int, int, int]) -> WindowPlan:
        """What a network's description says about windows, on a grid of this shape."""
        flat = flat_axis(config, shape)
        patch = by_image_axis(config, config.patch_size, shape) if config.patch_size else None
        patch = tuple(p or n for p, n in zip(patch, shape)) if patch else None
        step = by_image_axis(config, config.window_step, shape) if config.window_step else None
        padded = padded_shape(shape, config.divisible_by, patch, flat)
        before = tuple((n - m) // 2 if config.padding.endswith("-centered") else 0 for n, m in zip(padded, shape))
        size = tuple(1 if a == flat else n for a, n in enumerate(patch or padded))  # slice by slice
        return cls(padded, before, size, plan_windows(padded, size, config.overlap, step))


def padded_shape(
    shape: tuple[int, int, int],
    divisible_by: int,
    patch: tuple[int, int, int] | None,
    flat_axis: int | None = None,
) -> tuple[int, int, int]:
    """Smallest shape that holds `shape` and a whole patch and is divisible along every axis but a flat one."""
    out = []
    for axis, n in enumerate(shape):
        n = max(n, patch[axis]) if patch else n
        out.append(n if axis == flat_axis else -(-n // divisible_by) * divisible_by)
    return tuple(out)


def plan_windows(
    shape: tuple[int, int, int],
    patch: tuple[int, int, int],
    overlap: float,
    fixed_step: tuple[int, int, int] | None = None,
) -> list[Window]:
    """Windows of size `patch` that cover `shape`, first axis slowest.

    Args:
        overlap: without `fixed_step`, windows are evenly spread and overlap by at least this part (0 to <1).
        fixed_step: windows start at its multiples, the last one is pushed back inside, as MONAI does it.
    """
    starts = []
    for axis, (n, p) in enumerate(zip(shape, patch)):
        if fixed_step is not None:
            count = -(-max(0, n - p) // fixed_step[axis]) + 1
            starts.append([min(i * fixed_step[axis], n - p) for i in range(count)])
            continue
        step = max(1.0, p * (1 - overlap))
        count = 1 if n <= p else int(np.ceil((n - p) / step - 1e-6)) + 1  # 10 * (1 - 0.8) is 1.999...
        starts.append([round(i * ((n - p) / (count - 1))) if count > 1 else 0 for i in range(count)])
    return [Window(start) for start in itertools.product(*starts)]


def blend_weights(patch: tuple[int, int, int], blend: WindowBlend | None = None) -> torch.Tensor:
    """Weights over a window (float32), by default the Gaussian that nnU-Net and MONAI use."""
    blend = blend or WindowBlend()
    weights = torch.ones(patch)
    if blend.shape == "constant":
        return weights
    for axis, n in enumerate(patch):
        center = n // 2 if blend.shape == "nnunet" else (n - 1) / 2
        position = torch.arange(n, dtype=torch.float32) - center
        line = torch.exp(-0.5 * (position / max(n * blend.sigma, 1e-3)) ** 2) if n > 1 else torch.ones(1)
        weights = weights * line.view([-1 if a == axis else 1 for a in range(3)])
    if blend.shape == "nnunet":  # held as 16-bit numbers up to 10; what those cannot hold is the floor
        weights = (weights * 10).half().float() / 10
    return (weights / weights.max() if blend.scaled else weights).clamp_min(blend.floor)

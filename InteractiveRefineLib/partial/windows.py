"""Sliding windows over the network's grid: where they start and how their outputs are blended."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Window:
    """One window: where it starts on the padded grid, in the order of the tensor axes."""

    start: tuple[int, int, int]

    def slices(self, size: tuple[int, int, int]) -> tuple[slice, slice, slice]:
        """The window's box on the padded grid."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, size))


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


def plan_windows(shape: tuple[int, int, int], patch: tuple[int, int, int], overlap: float) -> list[Window]:
    """Evenly spread windows of size `patch` that cover `shape` and overlap by at least `overlap` (0 to <1)."""
    starts = []
    for n, p in zip(shape, patch):
        step = max(1, int(p * (1 - overlap) + 1e-6))  # 10 * (1 - 0.8) is 1.999...
        count = 1 if n <= p else int(np.ceil((n - p) / step)) + 1
        starts.append([round(i * (n - p) / (count - 1)) if count > 1 else 0 for i in range(count)])
    return [Window(start) for start in itertools.product(*starts)]


def blend_weights(patch: tuple[int, int, int]) -> torch.Tensor:
    """Gaussian weights over a window (float32, maximum 1, sigma = 1/8 of each side), as nnU-Net and MONAI use."""
    weights = torch.ones(patch)
    for axis, n in enumerate(patch):
        position = torch.arange(n, dtype=torch.float32) - (n - 1) / 2
        line = torch.exp(-0.5 * (position / max(n / 8, 1e-3)) ** 2) if n > 1 else torch.ones(1)
        weights = weights * line.view([-1 if a == axis else 1 for a in range(3)])
    return (weights / weights.max()).clamp_min(1e-4)

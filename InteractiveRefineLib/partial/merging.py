"""Overlapping windows blended into one field on the network's grid, all of it or a region."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..backbone.grid import Box
from .windows import Window


class Blend:
    """Windows with their normalized blending weights on the padded grid; `before` voxels of it precede the grid."""

    def __init__(
        self,
        windows: list[Window],
        weights: torch.Tensor,
        padded: tuple[int, int, int],
        shape: tuple[int, int, int],
        before: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        self.windows, self.weights, self.padded, self.shape, self.before = windows, weights, padded, shape, before
        self.size = tuple(weights.shape)
        self.total = torch.zeros(padded, device=weights.device)
        for window in windows:
            self.total[window.slices(self.size)] += weights

    def merge(self, outputs: Callable[[int, Box], torch.Tensor], region: Box | None = None) -> torch.Tensor:
        """Blend the outputs of all windows that reach into a region into (C, *region shape).

        Args:
            outputs: from a window's number and a box in that window to (C, *box shape) there.
            region: box of the grid; None for all of it.
        """
        merger = self.merger(region=region)
        for i in merger.windows:
            merger.add_inside(i, outputs(i, merger.inside(i)))
        return merger.merged()

    def merger(self, dtype: torch.dtype = torch.float32, region: Box | None = None) -> Merger:
        """Blends windows one after the other, so that none of their outputs has to be kept."""
        return Merger(self, dtype, region or tuple(slice(0, n) for n in self.shape))

    def covering(self, voxels: np.ndarray, i: int) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
        """Which grid voxels (N, 3) window i covers.

        Returns:
            their row numbers (M,), their indices (M, 3) inside the window, and its normalized weight (M,) there.
        """
        padded = voxels + np.array(self.before)
        local = padded - np.array(self.windows[i].start)
        rows = np.flatnonzero(((local >= 0) & (local < np.array(self.size))).all(axis=1))
        local = local[rows]
        weight = self.weights[tuple(local.T)] / self.total[tuple(padded[rows].T)]
        return rows, local, weight


class Merger:
    """The weighted mean of window outputs over a region of the grid, window by window.

    Attributes:
        windows: numbers of the windows that reach into the region, ascending.
    """

    def __init__(self, blend: Blend, dtype: torch.dtype, region: Box) -> None:
        self._blend, self._dtype = blend, dtype
        # On the padded grid.
        self._region = tuple(slice(s.start + b, s.stop + b) for s, b in zip(region, blend.before))
        self.windows = [i for i in range(len(blend.windows)) if all(a < b for a, b in self._shared(i))]
        self._sum: torch.Tensor | None = None

    def _shared(self, i: int) -> list[tuple[int, int]]:
        window = self._blend.windows[i].slices(self._blend.size)
        return [(max(w.start, r.start), min(w.stop, r.stop)) for w, r in zip(window, self._region)]

    def inside(self, i: int) -> Box:
        """The box of window i that lies in the region."""
        return tuple(slice(a - s, b - s) for (a, b), s in zip(self._shared(i), self._blend.windows[i].start))

    def add(self, i: int, output: torch.Tensor) -> None:
        """Add the output (C, *window size) of window i."""
        self.add_inside(i, output[(slice(None), *self.inside(i))])

    def add_inside(self, i: int, output: torch.Tensor) -> None:
        """Add the part of window i's output that lies in the region, (C, *shape of `inside(i)`)."""
        if len(self._blend.windows) == 1:  # no copy
            self._sum = output
            return
        shared = self._shared(i)
        if self._sum is None:
            shape = [s.stop - s.start for s in self._region]
            self._sum = torch.zeros((output.shape[0], *shape), dtype=self._dtype, device=output.device)
        target = (slice(None), *(slice(a - r.start, b - r.start) for (a, b), r in zip(shared, self._region)))
        weight = self._blend.weights[self.inside(i)]
        if self._dtype == torch.float32:
            self._sum[target] += output * weight
        else:  # sums in half precision would lose the small weights: each window brings its share of the mean
            share = weight / self._blend.total[tuple(slice(a, b) for a, b in shared)]
            self._sum[target] += (output * share).to(self._dtype)

    def merged(self) -> torch.Tensor:
        """(C, *region shape)."""
        if self._dtype == torch.float32 and len(self._blend.windows) > 1:
            self._sum /= self._blend.total[self._region]
        return self._sum

"""The tuned part of a network at this image: logits at chosen voxels or everywhere, for any parameter values."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from ..backbone.grid import Box
from .local import LocalTape, NearVoxels, is_close
from .merging import Blend
from .store import AnyTape, TapeStore

log = logging.getLogger(__name__)

#: Maps parameter values to logits (N, C) at the voxels it was made for; differentiable.
LogitsAt = Callable[[list[torch.Tensor]], torch.Tensor]


class TunedPart(Protocol):
    """What tuning needs to know of a network."""

    #: The tuned parameters' pretrained values.
    initial: list[torch.Tensor]

    def at(self, positions: np.ndarray) -> LogitsAt:
        """Prepare logits at continuous network-grid positions (N, 3), linearly interpolated."""

    def everywhere(self, values: list[torch.Tensor], region: Box | None = None) -> torch.Tensor:
        """Logits for parameter values, no gradient: (C, *grid shape), or (C, *region shape) of a box of the grid."""


def corners(positions: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split linear interpolation at `positions` (N, 3) into unique voxels.

    Returns:
        voxels (U, 3) int64, and for each position its rows in `voxels` (N, M) and their weights (N, M) float32: one
        where all positions are voxels, else the 8 corners around each.
    """
    low = np.clip(np.floor(positions).astype(np.int64), 0, np.array(shape) - 1)
    fraction = positions - low
    # On a voxel its neighbors do not count; naming them would only make work.
    high = np.where(fraction > 0, np.minimum(low + 1, np.array(shape) - 1), low)
    flat, weights = [], []
    for corner in itertools.product((0, 1), repeat=3) if fraction.any() else [(0, 0, 0)]:
        index = np.where(corner, high, low)
        weights.append(np.prod(np.where(corner, fraction, 1 - fraction), axis=1))
        flat.append(np.ravel_multi_index(tuple(index.T), shape))
    unique, rows = np.unique(np.stack(flat, axis=1), return_inverse=True)
    voxels = np.stack(np.unravel_index(unique, shape), axis=1)
    return voxels, rows.reshape(len(positions), len(flat)), np.stack(weights, axis=1).astype(np.float32)


class ConvolutionPart:
    """One convolution of stride 1 as last layer: its input columns at the asked voxels are gathered once.

    The output is linear in the columns, so blending windows and interpolating between voxels are done on the
    columns, exactly, before tuning starts.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        features: Callable[[int], torch.Tensor],
        blend: Blend,
    ) -> None:
        """Args:
        weight: (C, F, k0, k1, k2).
        bias: (C), or None.
        features: gives a window's features (F, *window size), the channels last in memory.
        blend: of the windows.
        """
        self.initial = [weight] if bias is None else [weight, bias]
        self._features, self._blend = features, blend
        self._kernel = tuple(weight.shape[2:])

    def at(self, positions: np.ndarray) -> LogitsAt:
        """See `TunedPart.at`."""
        voxels, rows, weights = corners(positions, self._blend.shape)
        unique = self._columns(voxels)
        rows_t = torch.as_tensor(rows, device=unique.device)
        weights_t = torch.as_tensor(weights, device=unique.device)
        columns = unique[rows_t[:, 0]].mul_(weights_t[:, :1])
        for corner in range(1, rows.shape[1]):
            columns.addcmul_(unique[rows_t[:, corner]], weights_t[:, corner : corner + 1])

        def logits(values: list[torch.Tensor]) -> torch.Tensor:
            weight = values[0].flatten(1)
            return F.linear(columns, weight, values[1] if len(values) > 1 else None)

        return logits

    def _columns(self, voxels: np.ndarray) -> torch.Tensor:
        """Blended input columns (N, F * k0 * k1 * k2) of grid voxels (N, 3)."""
        n_features, device = self.initial[0].shape[1], self.initial[0].device
        taps = np.stack(np.meshgrid(*[np.arange(k) - k // 2 for k in self._kernel], indexing="ij"), axis=-1)
        out = torch.zeros((len(voxels), taps[..., 0].size, n_features), device=device)
        for i in range(len(self._blend.windows)):
            rows, local, weight = self._blend.covering(voxels, i)
            if not len(rows):
                continue
            features = self._features(i)
            size = np.array(features.shape[1:])
            where = local[:, None] + taps.reshape(1, -1, 3)
            # Outside the window the convolution saw its zero padding.
            inside = torch.as_tensor(((where >= 0) & (where < size)).all(axis=-1), device=device)
            flat = np.ravel_multi_index(tuple(where.clip(0, size - 1).reshape(-1, 3).T), features.shape[1:])
            table = features.movedim(0, -1).reshape(-1, n_features)
            found = table.index_select(0, torch.as_tensor(flat, device=device)).float().view(*inside.shape, n_features)
            out[torch.as_tensor(rows, device=device)] += found.mul_((inside * weight[:, None])[..., None])
        return out.transpose(1, 2).flatten(1)

    def everywhere(self, values: list[torch.Tensor], region: Box | None = None) -> torch.Tensor:
        """See `TunedPart.everywhere`."""
        # With channels last the CPU takes two thirds of the time, and decoding wants the classes last anyway.
        weight = values[0].contiguous(memory_format=torch.channels_last_3d)
        bias = values[1] if len(values) > 1 else None

        def output(i: int, box: Box) -> torch.Tensor:
            features = self._features(i)
            # The box with what the kernel sees around it; beyond the window's edge that is the padding.
            needed = [
                slice(max(0, s.start - k // 2), min(n, s.stop + k // 2))
                for s, k, n in zip(box, self._kernel, features.shape[1:])
            ]
            columns = features[(slice(None), *needed)][None].float().contiguous(memory_format=torch.channels_last_3d)
            found = F.conv3d(columns, weight, bias, padding=tuple(k // 2 for k in self._kernel))[0]
            inside = [slice(s.start - n.start, s.stop - n.start) for s, n in zip(box, needed)]
            return found[(slice(None), *inside)]

        with torch.no_grad():
            return self._blend.merge(output, region)


class TapePart:
    """Any last layers: the windows that hold asked voxels are replayed, as a whole or near the voxels only."""

    def __init__(
        self,
        initial: list[torch.Tensor],
        tapes: TapeStore | list[AnyTape],
        to_grid: Callable[[torch.Tensor], torch.Tensor],
        blend: Blend,
        *,
        run_on: torch.device | None = None,
        flat_axis: int | None = None,
        logits: torch.Tensor | None = None,
        notes: list[str] | None = None,
    ) -> None:
        """Args:
        to_grid: turns a network output (1, C, *spatial) into (C, *window size).
        run_on: where the tapes lie and run; None: where `initial` lies. All that comes out lies where `initial` does.
        flat_axis: of the grid, which a 2-D network's output lacks.
        logits: (C, *grid shape) at `initial`, against which computing near voxels is checked.
        notes: where sentences for the user are added.
        """
        self.initial = initial
        self.tapes, self._to_grid, self._blend = tapes, to_grid, blend
        self._flat_axis, self._logits, self._notes = flat_axis, logits, notes
        self._device = initial[0].device
        self._run_on = run_on or self._device

    def at(self, positions: np.ndarray) -> LogitsAt:
        """See `TunedPart.at`."""
        voxels, rows, weights = corners(positions, self._blend.shape)
        rows_t = torch.as_tensor(rows, device=self._device)
        weights_t = torch.as_tensor(weights, device=self._device)
        unique = self._at_voxels(voxels)

        def logits(values: list[torch.Tensor]) -> torch.Tensor:
            return (unique(values)[rows_t] * weights_t[..., None]).sum(dim=1)

        return logits

    def _at_voxels(self, voxels: np.ndarray) -> LogitsAt:
        """Logits at grid voxels (N, 3), near them only where that gives the initial logits for less work."""
        covering = []
        for i in range(len(self._blend.windows)):
            rows, local, weight = self._blend.covering(voxels, i)
            if len(rows) or (i == 0 and not len(voxels)):  # one window at least, which tells the channels
                covering.append((i, rows, local, weight))
        near = {i: self._near(self.tapes[i], local) for i, _, local, _ in covering}
        if any(near.values()):
            merged = self._merged(len(voxels), covering, near)
            with torch.no_grad():
                expected = self._logits[(slice(None), *torch.as_tensor(voxels.T, device=self._logits.device))].T
                if is_close(merged(self.initial), expected):
                    return merged
            note = "Tuning computes whole windows in every step, which is slower: parts of them give other logits."
            log.warning(note)
            if note not in self._notes:
                self._notes.append(note)
        return self._merged(len(voxels), covering, {})

    def _near(self, tape: AnyTape, local: np.ndarray) -> NearVoxels | None:
        if self._logits is None or not isinstance(tape, LocalTape):
            return None
        return tape.near(local if self._flat_axis is None else np.delete(local, self._flat_axis, axis=1))

    def _merged(self, count: int, covering: list, near: dict[int, NearVoxels | None]) -> LogitsAt:
        """The blended logits (count, C) from every covering window."""
        used = []
        for i, rows, local, weight in covering:
            output_at = near.get(i) or self._whole(self.tapes[i], torch.as_tensor(local, device=self._run_on))
            used.append((torch.as_tensor(rows, device=self._device), output_at, weight[:, None]))

        def logits(values: list[torch.Tensor]) -> torch.Tensor:
            unique, there = None, self._there(values)
            for rows, output_at, weight in used:
                output = output_at(there).to(self._device)
                if unique is None:
                    unique = torch.zeros((count, output.shape[1]), device=self._device)
                unique = unique.index_add(0, rows, output * weight)
            return unique

        return logits

    def _whole(self, tape: AnyTape, local: torch.Tensor) -> NearVoxels:
        def logits(values: list[torch.Tensor]) -> torch.Tensor:
            return self._to_grid(tape.replay(values))[:, local[:, 0], local[:, 1], local[:, 2]].T

        return logits

    def everywhere(self, values: list[torch.Tensor], region: Box | None = None) -> torch.Tensor:
        """See `TunedPart.everywhere`."""
        there = self._there(values)

        def output(i: int, box: Box) -> torch.Tensor:
            return self._to_grid(self.tapes[i].replay(there))[(slice(None), *box)].to(self._device)

        with torch.no_grad():
            return self._blend.merge(output, region)

    def _there(self, values: list[torch.Tensor]) -> list[torch.Tensor]:
        return [value.to(self._run_on) for value in values]

"""Compute the tuned part of a window near chosen voxels only, in one batch of equal tiles.

A tile is a small box of the window with a margin (halo) on every side, moved inward where it would leave the window,
so that the window's own padding is met exactly where the network met it. One voxel per tile gives cubes, one tile
for all gives a box; what costs least is chosen.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map

from ..device import is_out_of_memory
from .extent import NotLocal, without_extent
from .program import Call, Program
from .tape import Tape

#: Counting a tile as this many voxels more keeps the batch from falling into crumbs. A voxel in tiles costs less than
#: one of a window (measured: 0.4, small arrays stay in the cache), but tiles are copies and take memory, so that
#: equal numbers are the limit.
_VOXELS_PER_TILE = 8
_CORE_SIDES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)

#: Maps parameter values to logits (N, C).
NearVoxels = Callable[[list[torch.Tensor]], torch.Tensor]


@dataclass(frozen=True)
class Tiles:
    """Equal boxes of a window.

    Attributes:
        starts: (B, D) first voxel of each.
        size: (D,) their sides.
        tile: (N,) which one computes each asked voxel.
    """

    starts: np.ndarray
    size: np.ndarray
    tile: np.ndarray

    @property
    def cost(self) -> float:
        """In voxels of a whole window."""
        return len(self.starts) * (float(np.prod(self.size)) + _VOXELS_PER_TILE)


class LocalTape:
    """A tape with held norm statistics that can be replayed as a whole or near some voxels."""

    def __init__(self, tape: Tape, values: list[torch.Tensor]) -> None:
        """Args: values are the parameters at which the tape was recorded; it still has its output.

        Raises:
            NotLocal: a voxel depends on the whole window, or computing parts of the window gives other logits.
        """
        self.output = self.features = None  # as of a tape whose output was dropped
        self.tape = tape
        with torch.no_grad():
            self._program, output, shapes = without_extent(tape.program, values)
        if not is_close(output, tape.output):
            raise NotLocal("with held norm statistics its logits differ")
        self.shape = np.array(tape.output.shape[2:])
        self._crops = _Crops(self._program, self.shape, shapes)
        self.multiple = self._crops.multiple
        self.halo = self._find_halo(values)
        self._check_tiles(tape.output, values)

    def _check_tiles(self, output: torch.Tensor, values: list[torch.Tensor]) -> None:
        """Compare tiles at the window's corners and in its middle with the output."""
        corners = np.array(list(itertools.product(*[(0, n // 2, n - 1) for n in self.shape])))
        tiles = _tiles(corners, corners.min(axis=0), np.ones_like(self.shape), self.shape, self.halo, self.multiple)
        if (tiles.size == self.shape).all():
            raise NotLocal("")
        with torch.no_grad():
            try:
                found = self.in_tiles(corners, tiles)(values)
            except (RuntimeError, IndexError, ValueError) as error:
                if is_out_of_memory(error):
                    raise
                raise NotLocal("the tuned layers fix their sizes") from error
        if not is_close(found, output[(0, slice(None), *corners.T)].T):
            raise NotLocal("parts of a window give other logits")

    def replay(self, values: list[torch.Tensor]) -> torch.Tensor:
        """See `Tape.replay`; with held statistics."""
        self.tape.check_unchanged()
        return self._program.run(values)

    def near(self, voxels: np.ndarray) -> NearVoxels | None:
        """Prepare logits at voxels (N, D) of the window; None where computing the whole window costs less."""
        tiles = plan_tiles(voxels, self.shape, self.halo, self.multiple)
        return None if tiles is None else self.in_tiles(voxels, tiles)

    def in_tiles(self, voxels: np.ndarray, tiles: Tiles) -> NearVoxels:
        """Logits at voxels (N, D) by given tiles."""
        program = self._crops.cropped(tiles.starts, tiles.size)
        where = torch.as_tensor(np.concatenate([tiles.tile[:, None], voxels - tiles.starts[tiles.tile]], axis=1))
        first, *rest = where.to(self._crops.device).unbind(1)

        def logits(values: list[torch.Tensor]) -> torch.Tensor:
            self.tape.check_unchanged()
            return program.run(values)[(first, slice(None), *rest)]

        return logits

    def _find_halo(self, values: list[torch.Tensor]) -> np.ndarray:
        """How far a voxel sees: NaN on one side of a plane runs through the program, and what it reaches is measured.

        A whole side and no single voxel, for what a voxel sees may have gaps (dilation) wider than the window.
        """
        side = 16
        while True:
            size = np.minimum(self.shape, side * self.multiple)
            halo = np.array([self._reach(axis, size, values) for axis in range(len(size))])
            at_edge = halo >= size
            if not (at_edge & (size < self.shape)).any():
                if at_edge.all():
                    raise NotLocal("")  # nothing to gain, nothing to explain
                return halo
            side *= 2

    def _reach(self, axis: int, size: np.ndarray, values: list[torch.Tensor]) -> int:
        """How far a voxel sees along an axis of a part of the window; the part's size where that is to its edge."""
        middle, n = size[axis] // 2 // self.multiple[axis] * self.multiple[axis], size[axis]
        if not middle:  # one block
            return int(n)
        found = 0
        for start, stop in ((0, middle), (middle, n)):
            low, high = np.zeros_like(size), size.copy()
            low[axis], high[axis] = start, stop
            with torch.no_grad():
                try:
                    reached = self._crops.poisoned(size, low, high).run(values).isnan()
                except (RuntimeError, IndexError, ValueError) as error:
                    if is_out_of_memory(error):
                        raise
                    raise NotLocal("the tuned layers fix their sizes") from error
            if list(reached.shape[2:]) != list(size):
                raise NotLocal("the tuned layers fix their sizes")
            reached = reached[0].movedim(axis + 1, 0).flatten(1).any(dim=1).cpu().numpy()
            if not reached[start:stop].all():
                raise NotLocal("what a voxel depends on cannot be found")
            if reached[0] and reached[-1]:
                return int(n)
            where = np.flatnonzero(reached)
            found = max(found, where.max() + 1 - stop, start - where.min())  # tiles are whole blocks, too
        return int(found)


class _Crops:
    """Which constants of a program are fields over the window, and the program on parts of them."""

    def __init__(self, program: Program, shape: np.ndarray, shapes: list[torch.Size]) -> None:
        self._program, self._shape = program, shape
        self._scale: dict[int, tuple[int, ...]] = {}
        self._fields: dict[int, torch.Tensor] = {}
        self.device = torch.device("cpu")
        for call in program.calls:
            for position, leaf in enumerate(tree_leaves((call.args, call.kwargs))):
                if not isinstance(leaf, torch.Tensor):
                    continue
                self.device = leaf.device
                is_weight = position == 1 and "convolution" in getattr(call.function, "__name__", "")
                scale = None if is_weight else self._scale_of(leaf.shape)
                if scale is not None:
                    self._scale[id(leaf)], self._fields[id(leaf)] = scale, leaf
        if not self._fields:
            raise NotLocal("the tuned layers read no field of the window's shape")
        scales = [*self._scale.values(), *(s for s in map(self._scale_of, shapes) if s is not None)]
        self.multiple = np.array([math.lcm(*(max(s, 1) for s in along)) for along in zip(*scales)])
        if (shape % self.multiple).any():
            raise NotLocal("sizes in the tuned layers do not divide the window's")

    def _scale_of(self, shape: torch.Size) -> tuple[int, ...] | None:
        """Voxels of the window per voxel along each axis, 0 where the value is the same all along."""
        if len(shape) != len(self._shape) + 2 or shape[0] != 1 or all(n == 1 for n in shape[2:]):
            return None
        sides = list(zip(shape[2:], self._shape.tolist()))
        if any(n != 1 and m % n for n, m in sides):
            raise NotLocal("sizes in the tuned layers do not divide the window's")
        return tuple(0 if n == 1 and m > 1 else m // n for n, m in sides)

    def cropped(self, starts: np.ndarray, size: np.ndarray) -> Program:
        """The program on a batch of tiles."""

        def batch(field: torch.Tensor, scale: tuple[int, ...]) -> torch.Tensor:
            boxes = [_box(start, size, scale) for start in starts]
            return torch.stack([field[(0, slice(None), *box)] for box in boxes])

        return self._with({key: batch(field, self._scale[key]) for key, field in self._fields.items()})

    def poisoned(self, size: np.ndarray, low: np.ndarray, high: np.ndarray) -> Program:
        """The program on zeros of the given size with NaN from `low` to `high` in every field."""
        fields = {}
        for key, field in self._fields.items():
            whole = field[(slice(None), slice(None), *_box(np.zeros_like(size), size, self._scale[key]))]
            fields[key] = torch.zeros_like(whole)
            fields[key][(slice(None), slice(None), *_box(low, high - low, self._scale[key]))] = torch.nan
        return self._with(fields)

    def _with(self, fields: dict[int, torch.Tensor]) -> Program:
        def replaced(leaf):
            return fields.get(id(leaf), leaf)

        calls = [
            Call(c.function, tree_map(replaced, c.args), tree_map(replaced, c.kwargs), c.outputs)
            for c in self._program.calls
        ]
        return Program(calls, self._program.result)


def _box(start: np.ndarray, size: np.ndarray, scale: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(a // s, (a + n) // s) if s else slice(None) for a, n, s in zip(start, size, scale))


def plan_tiles(voxels: np.ndarray, shape: np.ndarray, halo: np.ndarray, multiple: np.ndarray) -> Tiles | None:
    """The cheapest tiles of a window that give the logits at `voxels` (N, D), or None where the whole window is.

    Args:
        shape: (D,) of the window.
        halo: (D,) how far a voxel sees.
        multiple: (D,) tiles start and end on multiples of this.
    """
    if not len(voxels):
        return None
    low = voxels.min(axis=0)
    extent = voxels.max(axis=0) - low + 1
    sides = [[t for t in _CORE_SIDES if t < n] + [int(n)] for n in extent]

    @functools.cache
    def tiles(core: tuple[int, ...]) -> Tiles:
        return _tiles(voxels, low, np.array(core), shape, halo, multiple)

    cubes = {tuple(np.minimum(t, extent).tolist()) for t in (*_CORE_SIDES, int(extent.max()))}
    best = min(sorted(cubes), key=lambda core: tiles(core).cost)
    for axis in [*range(len(shape))] * 2:  # then the best side along one axis after the other
        variants = [(*best[:axis], side, *best[axis + 1 :]) for side in sides[axis]]
        best = min([best, *variants], key=lambda core: tiles(core).cost)
    return tiles(best) if tiles(best).cost < np.prod(shape) else None


def _tiles(voxels, low, core, shape, halo, multiple) -> Tiles:
    """Voxels gathered by a lattice of boxes of side `core` from `low` on, each shrunk to what it holds."""
    number = (voxels - low) // core
    flat = number @ np.array([1 << 42, 1 << 21, 1])[-number.shape[1] :]
    _, tile = np.unique(flat, return_inverse=True)
    order = np.argsort(tile, kind="stable")
    first = np.concatenate([[0], np.flatnonzero(np.diff(tile[order])) + 1])
    start = np.minimum.reduceat(voxels[order], first, axis=0) - halo
    stop = np.maximum.reduceat(voxels[order], first, axis=0) + 1 + halo
    start, stop = np.maximum(start, 0) // multiple * multiple, np.minimum(stop, shape)
    size = np.minimum(-(-(stop - start).max(axis=0) // multiple) * multiple, shape)
    return Tiles(np.minimum(start, shape - size), size, tile)


def is_close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Equal but for the order of summation."""
    if found.shape != expected.shape:
        return False
    limit = 1e-3 * max(1.0, float(expected.abs().max())) if expected.numel() else 0.0
    return bool(((found - expected).abs() <= limit).all())

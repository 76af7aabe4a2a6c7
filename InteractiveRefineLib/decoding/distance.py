"""Distance to the nearest stroke, in mm, without a distance transform of the whole scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree

from ..backbone.grid import Box
from ..backbone.sampling import VoxelSampler, sample_product

#: The distance varies slowly: by default it is computed on a lattice of about this spacing and interpolated. (Images
#: smaller than any measured one need a finer one, see `blend.Distances`.)
COARSE_MM = 3.0


class StrokeDistance:
    """Distance from image voxels to the nearest of some voxels, at most `limit_mm`.

    Exact on a coarse lattice, linearly interpolated in between; the error is below half the lattice's spacing and
    largest next to a stroke.

    Args:
        voxels: (N, 3) image voxels.
        box: of the image, where distances will be asked for.
        spacing: voxel size in mm.
        limit_mm: the distance of everything that is farther.
        stretch: (N,) factor by which each voxel acts farther than usual: distances to it are divided by it.
        coarse_mm: spacing of the lattice.
    """

    def __init__(
        self,
        voxels: np.ndarray,
        box: Box,
        spacing: tuple[float, float, float],
        limit_mm: float,
        stretch: np.ndarray | None = None,
        coarse_mm: float = COARSE_MM,
    ) -> None:
        self._box = box
        shape = [s.stop - s.start for s in box]
        self._steps = [max(1, int(coarse_mm / s)) for s in spacing]
        # Interpolation needs an even lattice, so the last sample may lie beyond the box.
        counts = [max(1, int(np.ceil((n - 1) / step)) + 1) for n, step in zip(shape, self._steps)]
        axes = [(np.arange(c) * step + s.start) * mm for c, step, s, mm in zip(counts, self._steps, box, spacing)]
        lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        factors = np.ones(len(voxels)) if stretch is None else stretch
        nearest = np.full(len(lattice), limit_mm)
        for factor in np.unique(factors):
            tree = cKDTree(voxels[factors == factor] * np.array(spacing))
            distance, _ = tree.query(lattice, distance_upper_bound=limit_mm * factor)
            np.minimum(nearest, distance / factor, out=nearest)
        self._field = torch.from_numpy(nearest.astype(np.float32)).view(*counts)

    def in_box(self, box: Box) -> torch.Tensor:
        """Distances (*box shape) float32 in mm of a box inside the lattice's."""
        return self.at_product([np.arange(s.start, s.stop) for s in box])

    def at_product(self, index: Sequence[np.ndarray]) -> torch.Tensor:
        """Distances at every combination of (continuous, ascending) image indices along the axes."""
        return sample_product(self._field[None], self._positions(index))[0]

    def at(self, voxels: np.ndarray) -> torch.Tensor:
        """Distances (N,) of image voxels (N, 3) inside the lattice's box."""
        sampler = VoxelSampler(self._positions(voxels.T), self._field.shape, self._field.device)
        return sampler(self._field[..., None])[:, 0]

    def _positions(self, index: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [
            np.clip((i - side.start) / step, 0, n - 1)
            for i, side, step, n in zip(index, self._box, self._steps, self._field.shape)
        ]

"""What the random walker compares between neighbors: intensities in a window, and the network's last features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid
from ..backbone.sampling import sample_product
from ..orientation import contiguous

#: Factor of the squared intensity difference against the mean over feature channels.
INTENSITY_FACTOR = 12.0
#: Intensity difference, in standard deviations of the window, at which a voxel hardly looks like a seed any more.
RESEMBLANCE_SIGMA = 0.25


@dataclass(frozen=True)
class IntensityWindow:
    """The range of intensities that matters, per channel, with the spread inside it.

    Attributes:
        low, high: clip limits, one per channel.
        scale: standard deviation of the clipped intensities, one per channel.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def around(cls, image: np.ndarray, sample: np.ndarray) -> IntensityWindow:
        """Window that holds the intensities of interest with half their range as margin on both sides.

        Args:
            image: (C, N) intensities of the scan (a sample of it is enough).
            sample: (C, M) intensities of strokes and labeled structures.
        """
        low, high, scale = [], [], []
        for channel, wanted in zip(image, sample):
            a, b = np.percentile(wanted, [1, 99])
            margin = 0.5 * (b - a)
            if not b > a:
                a, b = np.percentile(channel, [1, 99])
                margin = 0.0
            low.append(float(a - margin))
            high.append(float(b + margin))
            inside = channel[(channel > a - margin) & (channel < b + margin)]
            spread = float(inside.std()) if len(inside) else 0.0
            scale.append(spread if spread > 0 else 1.0)
        return cls(tuple(low), tuple(high), tuple(scale))

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """Clip and scale intensities (C, ...); float32."""
        out = torch.empty(image.shape, dtype=torch.float32, device=image.device)
        for c in range(image.shape[0]):
            out[c] = image[c].float().clamp(self.low[c], self.high[c]) / self.scale[c]
        return out


class FeatureEdges:
    """How much the network's features differ between neighboring image voxels.

    The features are interpolated linearly, so between two image voxels they change by the difference of the grid's
    nodes around them times the step. The sum of squares over channels is made on the network's grid, where there are
    fewer places, for the nodes around a box only: the walker asks for little of a scan.

    Args:
        features: (F, *grid shape); kept, not copied.
        scales: (F,) factors that bring every channel to spread one.
        grid: where they lie.
    """

    def __init__(self, features: torch.Tensor, scales: torch.Tensor, grid: NetworkGrid) -> None:
        self._features, self._grid = features, grid
        self._weights = scales.square() / features.shape[0]

    def _along(self, axis: int, start: list[int], stop: list[int]) -> torch.Tensor:
        """Mean square difference along one axis: per cell of the grid, or per image voxel where that is coarser.

        Args:
            start, stop: the box of cells, or of image voxels along the axis, that is asked for.
        """
        nodes = [slice(a, b) for a, b in zip(start, stop)]
        nodes[axis] = slice(start[axis], stop[axis] + 1)  # a difference has two sides
        if not self._coarser(axis):
            part = self._features[(slice(None), *nodes)].movedim(0, -1).float()
        else:
            positions = self._grid.axis_positions(axis, np.arange(start[axis], stop[axis] + 1))
            low = np.floor(positions).astype(np.int64)
            high = np.minimum(low + 1, self._grid.shape[axis] - 1)
            nodes[axis] = slice(int(low[0]), int(high[-1]) + 1)
            part = self._features[(slice(None), *nodes)].movedim(0, -1).float()
            lower, upper = (
                part.index_select(axis, torch.from_numpy(side - low[0]).to(part.device)) for side in (low, high)
            )
            fraction = torch.from_numpy((positions - low).astype(np.float32)).to(part.device)
            part = lower.lerp_(upper, fraction.view([-1 if a == axis else 1 for a in range(4)]))
        return part.diff(dim=axis).square_() @ self._weights

    def _coarser(self, axis: int) -> bool:
        """True where image voxels are at least as long as the grid's."""
        if self._grid.lines is not None:
            return self._grid.lines[axis][1] <= 1
        crop = self._grid.crop[axis]
        return self._grid.shape[axis] >= crop.stop - crop.start

    def in_box(self, box: Box, axis: int) -> torch.Tensor | None:
        """Mean square difference between neighbors along an axis, (*box shape), one shorter along it."""
        if self._grid.shape[axis] == 1 or box[axis].stop - box[axis].start < 2:
            return None
        positions = self._grid.box_positions(box)
        own, coarser = positions[axis], self._coarser(axis)
        if coarser:
            positions[axis] = np.arange(box[axis].start, box[axis].stop - 1)
        else:
            positions[axis] = np.minimum(np.floor((own[:-1] + own[1:]) / 2), self._grid.shape[axis] - 2)
        start = [int(p[0]) for p in positions]
        stop = [min(int(p[-1]) + 2, n) for p, n in zip(positions, self._grid.shape)]
        stop[axis] = int(positions[axis][-1]) + 1
        field = self._along(axis, start, stop)
        out = sample_product(field[None], [p - a for p, a in zip(positions, start)])[0]
        if coarser:
            return out
        steps = torch.from_numpy((np.diff(own) ** 2).astype(np.float32)).to(out.device)  # 0 beyond the crop
        return out.mul_(steps.view([-1 if a == axis else 1 for a in range(3)]))


class EdgeFeatures:
    """Everything that cuts the walker's edges, on the image's grid.

    Args:
        image: (C, *image shape) intensities in the order of the tensor axes.
        window: see `IntensityWindow`.
        features: see `FeatureEdges`, or None when the network has no usable ones.
    """

    def __init__(self, image: np.ndarray, window: IntensityWindow, features: FeatureEdges | None) -> None:
        self._image, self._window, self._features = image, window, features

    def intensities(self, box: Box, device: torch.device) -> torch.Tensor:
        """(C, *box shape) float32 in units of their spread."""
        image = contiguous(self._image[(slice(None), *box)])
        return self._window.apply(torch.as_tensor(image, device=device))

    def factors(self) -> torch.Tensor:
        """(C,) factor of each intensity's squared difference."""
        n = self._image.shape[0]
        return torch.full((n,), INTENSITY_FACTOR / n)

    def of_features(self, box: Box) -> list[torch.Tensor | None]:
        """Squared differences of the network's features along each axis."""
        return [self._features.in_box(box, axis) if self._features else None for axis in range(3)]


def resemblance(intensities: torch.Tensor, seeds: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """How much each voxel looks like some seed: 1 = the same intensity, 0 = none near; (*box) float32.

    Args:
        intensities: (C, *box), scaled by their spread; of several channels the least similar counts.
        seeds: index arrays (N,) per axis of the box.
    """
    worst = torch.zeros_like(intensities[0])
    for channel in intensities:
        values = channel[seeds].sort().values
        place = torch.searchsorted(values, channel.contiguous())
        above = values[place.clamp_max(len(values) - 1)]
        below = values[(place - 1).clamp_min(0)]
        nearest = torch.minimum((channel - above).abs_(), (channel - below).abs_())
        worst = torch.maximum(worst, nearest)
    return torch.exp(-0.5 * (worst / RESEMBLANCE_SIGMA) ** 2)

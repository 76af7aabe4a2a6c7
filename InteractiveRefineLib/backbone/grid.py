"""Where the network's input grid lies in the image, and linear sampling between the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import BackboneError, InputError
from ..geometry import box_of
from .config import BackboneConfig, CropRule
from .sampling import sample_product

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class NetworkGrid:
    """The network's voxel grid over a crop of the image; both in the order of the network's tensor axes.

    Along each axis network index n and image index i are related by
    ``i = (n + 0.5) * crop_size / shape - 0.5 + crop_start`` (no corner alignment), or by ``i = first + n * step``
    where another tool laid the grid out in its own way.

    Attributes:
        image_shape: the image's shape.
        crop: the box of the image that the network sees.
        shape: the network grid's shape over that box (before padding for divisibility).
        lines: (first, step) per axis, in image voxels, or None for a grid that fills the crop.
        nearest: per axis, whether fields are read at the nearest node instead of being interpolated.
        own_channels: where the owner's tool brings the network's answer back to the image in its own way: from output
            channels (C, *shape) to the channel of every image voxel, (*image_shape) int64, -1 for none.
    """

    image_shape: tuple[int, int, int]
    crop: Box
    shape: tuple[int, int, int]
    lines: tuple[tuple[float, float], ...] | None = None
    nearest: tuple[bool, bool, bool] = (False, False, False)
    own_channels: Callable[[torch.Tensor], np.ndarray] | None = field(default=None, compare=False)

    def to_network(self, cropped: torch.Tensor) -> torch.Tensor:
        """Resample the crop (C, *crop shape) of an image linearly to the network grid, (C, *shape) float32."""
        cropped = cropped.float()
        if tuple(cropped.shape[1:]) == self.shape:
            return cropped
        return F.interpolate(cropped[None], size=self.shape, mode="trilinear", align_corners=False)[0]

    def axis_positions(self, axis: int, index: np.ndarray) -> np.ndarray:
        """Continuous network indices of image indices along one axis, clamped to the network grid."""
        index = np.asarray(index, dtype=np.float64)
        if self.lines is None:
            start, stop = self.crop[axis].start, self.crop[axis].stop
            position = (index - start + 0.5) * (self.shape[axis] / (stop - start)) - 0.5
        else:
            first, step = self.lines[axis]
            position = (index - first) / step
        if self.nearest[axis]:
            position = np.floor(position + 0.5)
        return np.clip(position, 0, self.shape[axis] - 1)

    def positions(self, index: np.ndarray) -> np.ndarray:
        """Continuous network indices (N, 3) of image voxels (N, 3), clamped to the network grid."""
        return np.stack([self.axis_positions(a, index[:, a]) for a in range(3)], axis=1)

    def box_positions(self, box: Box) -> list[np.ndarray]:
        """Continuous network indices along each axis of the image voxels of `box`, clamped to the network grid."""
        return [self.axis_positions(axis, np.arange(box[axis].start, box[axis].stop)) for axis in range(3)]

    def nodes_around(self, box: Box) -> tuple[Box, list[np.ndarray]]:
        """The nodes that linear interpolation in `box` needs, and the positions of its voxels among these."""
        positions = self.box_positions(box)
        region = tuple(slice(int(p[0]), min(int(p[-1]) + 2, n)) for p, n in zip(positions, self.shape))
        return region, [p - side.start for p, side in zip(positions, region)]

    def image_positions(self, axis: int) -> np.ndarray:
        """Continuous image indices of all nodes along one axis."""
        if self.lines is not None:
            first, step = self.lines[axis]
            return first + np.arange(self.shape[axis]) * step
        start, stop = self.crop[axis].start, self.crop[axis].stop
        return (np.arange(self.shape[axis]) + 0.5) * (stop - start) / self.shape[axis] - 0.5 + start

    def sample_box(self, field: torch.Tensor, box: Box) -> torch.Tensor:
        """Linear interpolation of a field (C, *shape) at all image voxels of `box`, (C, *box shape) float32."""
        return sample_product(field, self.box_positions(box))

    def outside_crop(self, box: Box) -> np.ndarray | None:
        """Boolean mask of the voxels of `box` the network does not see, or None when it sees them all."""
        inside = np.ones([s.stop - s.start for s in box], dtype=bool)
        for axis in range(3):
            index = np.arange(box[axis].start, box[axis].stop)
            line = (index >= self.crop[axis].start) & (index < self.crop[axis].stop)
            inside &= line.reshape([-1 if a == axis else 1 for a in range(3)])
        return None if inside.all() else ~inside


def flat_axis(config: BackboneConfig, shape: tuple[int, int, int]) -> int | None:
    """The axis that a 2-D network does not have, along which it runs slice by slice; None for a 3-D network.

    It is K, the third of the axis codes; another axis for a single slice that lies otherwise, e.g. for a coronal slice
    and codes "LPS".
    """
    if config.dimensions == 3:
        return None
    usual = config.tensor_axes.index("K")
    return shape.index(1) if shape[usual] > 1 and 1 in shape else usual


def by_image_axis(config: BackboneConfig, along_ijk: tuple, shape: tuple[int, int, int]) -> tuple:
    """A value per I, J, K in the order of the tensor axes; a 2-D network's I and J go to the slice's two axes."""
    values = list(config.by_tensor_axis(along_ijk))
    flat = flat_axis(config, shape)
    if flat is not None:
        values.insert(flat, values.pop(config.tensor_axes.index("K")))
    return tuple(values)


def plan_grid(config: BackboneConfig, image: np.ndarray, spacing: tuple[float, float, float]) -> NetworkGrid:
    """Place the network's grid over an image.

    Args:
        image: (C, A0, A1, A2) in the order of the network's tensor axes.
        spacing: mm along A0, A1, A2.

    Raises:
        BackboneError: a 3-D network and a single slice.
        InputError: the crop rule finds nothing in the image.
    """
    shape = tuple(int(n) for n in image.shape[1:])
    flat = 1 in shape
    size = " x ".join(map(str, config.by_tensor_axis(shape)))  # by_tensor_axis undoes itself
    if config.dimensions == 3 and flat:
        raise BackboneError(
            f"The backbone {config.name!r} is a 3-D network, but the image is a single slice "
            f"({size} voxels). Choose a 2-D backbone or load the whole volume."
        )
    crop = _crop_box(config, image)
    sizes = tuple(s.stop - s.start for s in crop)
    if config.spatial_shape is not None:
        grid = by_image_axis(config, config.spatial_shape, shape)
    elif config.spacing is not None:
        target = by_image_axis(config, config.spacing, shape)
        grid = tuple(1 if n == 1 else max(1, round(n * s / t)) for n, s, t in zip(sizes, spacing, target))
    else:
        grid = sizes
    slices = flat_axis(config, shape)
    if slices is not None:  # each slice is seen as it is, however far the next one lies
        grid = tuple(sizes[a] if a == slices else n for a, n in enumerate(grid))
    return NetworkGrid(shape, crop, grid)


def _crop_box(config: BackboneConfig, image: np.ndarray) -> Box:
    rule: CropRule = config.crop
    shape = image.shape[1:]
    whole = tuple(slice(0, int(n)) for n in shape)
    if rule.mode == "none":
        return whole
    if rule.mode == "foreground":
        box = box_of((image != 0).any(axis=0))
        if box is None:
            raise InputError("The image is zero everywhere; the backbone's foreground crop finds nothing in it.")
        return box
    above = (image > rule.threshold).any(axis=0)
    box = list(whole)
    for axis, code in enumerate(config.codes_by_tensor_axis):
        if code in "SI" or shape[axis] == 1:
            continue
        share = above.mean(axis=tuple(a for a in range(3) if a != axis))
        inside = np.flatnonzero(share > rule.fraction)
        if not len(inside):
            raise InputError(
                f"The body crop of backbone {config.name!r} finds no slice of which more than {rule.fraction:.0%} "
                f"exceeds {rule.threshold:g}. Is the image in the units the backbone expects?"
            )
        box[axis] = slice(int(inside[0]), int(inside[-1]) + 1)
    return tuple(box)


def most_likely(probabilities: torch.Tensor) -> torch.Tensor:
    """The index of the largest of (C, ...) along the first axis, the first among equals; (...) int64.

    Several times faster on the CPU than `argmax` over a strided axis; where classes are neighbors in memory, that is.
    """
    if probabilities.stride(0) == 1:
        return probabilities.argmax(dim=0)
    best = probabilities[0].clone()
    label = torch.zeros(best.shape, dtype=torch.int64, device=best.device)
    for c in range(1, probabilities.shape[0]):
        larger = probabilities[c] > best
        label.masked_fill_(larger, c)
        torch.maximum(best, probabilities[c], out=best)
    return label

"""nnU-Net's preprocessing: axes, the crop to what is not zero, intensities, then resampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage

from ...errors import BackboneError, InputError
from ...geometry import Geometry, box_of
from ...orientation import AxisOrder, axis_codes, contiguous
from ..grid import NetworkGrid
from .paint import PaintedRegions
from .plans import TO_RAS, WITHOUT_SPACING, Plans


class NnunetPreprocessing:
    """Does to an image what nnU-Net's DefaultPreprocessor does; see `Preprocessing`.

    Args:
        plans: of the trained model.
        name: of the network, for messages.
        regions: whether the outputs are overlapping regions.
    """

    def __init__(self, plans: Plans, name: str, regions: bool = False) -> None:
        self._plans, self._name, self._regions = plans, name, regions

    def codes_by_tensor_axis(self, geometry: Geometry) -> str:
        """The image's own directions, or RAS where nnU-Net's reader turns the image; in the plans' order of axes."""
        kji = ("RAS" if self._plans.reader in TO_RAS else axis_codes(geometry))[::-1]
        shape = tuple(geometry.shape[axis] for axis in AxisOrder.toward(geometry, kji).permutation)
        order = list(self._plans.transpose)
        if self._plans.dimensions == 2 and shape[order[0]] != 1 and 1 in shape:
            # A single slice that lies otherwise, e.g. coronal: it is the slice, not its one-voxel rows.
            flat = shape.index(1)
            order.insert(0, order.pop(order.index(flat)))
        return "".join(kji[axis] for axis in order)

    def __call__(self, image: np.ndarray, geometry: Geometry, device: torch.device) -> tuple[torch.Tensor, NetworkGrid]:
        """See `Preprocessing`."""
        plans, shape = self._plans, tuple(image.shape[1:])
        if plans.dimensions == 3 and 1 in shape:
            raise BackboneError(
                f"The backbone {self._name!r} is a 3-D network, but the image is a single slice. Choose a 2-D backbone "
                "or load the whole volume."
            )
        nonzero = ndimage.binary_fill_holes((image != 0).any(axis=0))
        crop = box_of(nonzero)
        if crop is None:
            raise InputError("The image is zero everywhere: there is nothing to segment in it.")
        inside = nonzero[crop]
        normalized = np.stack([rule.apply(c[crop], inside) for rule, c in zip(plans.channels, image)])
        current = self._spacing(geometry)
        # A 2-D network sees slices as they are, however far the next one lies.
        target = plans.spacing if plans.dimensions == 3 else (current[0], *plans.spacing)
        grid_shape = plans.image_resampling.new_shape(inside.shape, current, target)
        resampled = plans.image_resampling.apply(normalized, grid_shape, current, target)
        # The way back is from the grid's spacing to the image's.
        back = plans.logits_resampling
        coarse = back.coarse_axis(target, current) if back.order_coarse == 0 else None
        grid = NetworkGrid(shape, crop, grid_shape, nearest=tuple(axis == coarse for axis in range(3)))
        if self._regions and grid_shape != inside.shape:
            grid = replace(grid, own_channels=PaintedRegions(grid))
        return torch.from_numpy(contiguous(resampled, np.float32)).to(device), grid

    def _spacing(self, geometry: Geometry) -> tuple[float, ...]:
        """Spacing in mm along the tensor axes, free of the last digits' noise of an oblique matrix."""
        if self._plans.reader == WITHOUT_SPACING:
            return (999.0, 1.0, 1.0)
        return tuple(float(f"{s:.12g}") for s in geometry.spacing_kji)

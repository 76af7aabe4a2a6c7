"""nnU-Net's resampling: splines, slice by slice where voxels are much longer along one axis, or plain linear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from ...errors import BackboneError
from ...orientation import contiguous
from .said import Said, is_number, is_whole

_SPLINE, _TORCH, _NONE = "resample_data_or_seg_to_shape", "resample_torch_fornnunet", "no_resampling_hack"
_ANISOTROPY = 3.0  # one axis is treated on its own where the largest spacing is more than so many times the smallest


@dataclass(frozen=True)
class Resampling:
    """How one kind of array is resampled.

    Attributes:
        function: nnU-Net's name of it.
        order: of the splines within the slices, or within the volume.
        order_coarse: of the splines along an axis that is treated on its own; 0 = the nearest slice.
        separate: whether the coarsest axis is treated on its own; None where the spacing decides.
        threshold: from which ratio of spacings on.
    """

    function: str
    order: int
    order_coarse: int = 0
    separate: bool | None = None
    threshold: float = _ANISOTROPY

    @classmethod
    def read(cls, said: Said, key: str, *, order: int, linear: bool = False) -> Resampling:
        """From a configuration of plans.json.

        Args:
            order: the default.
            linear: whether nothing but linear interpolation, or the nearest slice, is supported.

        Raises:
            BackboneError: what is not supported.
        """
        function = said.text(key, _SPLINE)
        if function not in (_SPLINE, _TORCH, _NONE):
            known = ", ".join((_SPLINE, _TORCH, _NONE))
            raise BackboneError(f"{said.path}: {said.where + key!r} is {function!r}; supported are {known}.")
        if function == _NONE:
            return cls(function, 1)
        rule = (
            said.inner(f"{key}_kwargs") if f"{key}_kwargs" in said.raw else Said(said.path, {}, f"{said.where}{key}_")
        )
        separate = rule.value("force_separate_z", "true, false or null", lambda v: v in (None, True, False), None)
        threshold = rule.value("separate_z_anisotropy_threshold", "a number", is_number, _ANISOTROPY)
        if function == _TORCH:
            for name, expected in (("mode", "linear"), ("aniso_axis_mode", "nearest-exact")):
                rule.value(name, f"{expected!r}, the only one supported", lambda v, e=expected: v == e, expected)
            return cls(function, 1, 0, separate, float(threshold))
        allowed = ((1,), (0, 1)) if linear else (range(6), range(6))
        orders = []
        for (name, default), orders_here in zip((("order", order), ("order_z", 0)), allowed):
            expected = " or ".join(map(str, orders_here)) + ", nothing else is supported"
            fits = lambda v, known=orders_here: is_whole(v) and v in known  # noqa: E731
            orders.append(rule.value(name, expected, fits, default))
        return cls(function, *orders, separate, float(threshold))

    def coarse_axis(self, current: tuple[float, ...], new: tuple[float, ...]) -> int | None:
        """The axis that is treated on its own, from spacings before and after; None for no such axis."""
        if self.function == _NONE or self.separate is False:
            return None
        if self.separate or max(current) / min(current) > self.threshold:
            decisive = current
        elif max(new) / min(new) > self.threshold:
            decisive = new
        else:
            return None
        # Two equally coarse axes, like 0.24 x 1.25 x 1.25 mm, leave no plane to work in.
        coarse = [axis for axis, spacing in enumerate(decisive) if max(decisive) / spacing == 1]
        return coarse[0] if len(coarse) == 1 else None

    def new_shape(self, shape: tuple[int, ...], current: tuple[float, ...], new: tuple[float, ...]) -> tuple[int, ...]:
        """Voxels along each axis with the new spacing."""
        if self.function == _NONE:
            return tuple(shape)
        return tuple(max(1, int(round(old / target * n))) for old, target, n in zip(current, new, shape))

    def apply(
        self, image: np.ndarray, shape: tuple[int, ...], current: tuple[float, ...], new: tuple[float, ...]
    ) -> np.ndarray:
        """Resample (C, A0, A1, A2) float32 to (C, *shape) float32; spacings in mm along the axes, before and after."""
        if tuple(image.shape[1:]) == tuple(shape):
            return image
        axis = self.coarse_axis(current, new)
        if self.function == _TORCH:
            return _linear(image, shape, axis)
        return np.stack([_spline(channel, shape, axis, self.order, self.order_coarse) for channel in image])


def _spline(image: np.ndarray, shape: tuple[int, ...], axis: int | None, order: int, order_coarse: int) -> np.ndarray:
    """One channel (A0, A1, A2) to `shape`, float32."""
    image = image.astype(np.float64)
    if axis is None:
        return _zoom(image, shape, order).astype(np.float32)
    plane = tuple(n for a, n in enumerate(shape) if a != axis)
    slices = np.stack([_zoom(image.take(i, axis), plane, order) for i in range(image.shape[axis])], axis)
    if slices.shape == tuple(shape):
        return slices.astype(np.float32)
    position = (np.arange(shape[axis]) + 0.5) * (image.shape[axis] / shape[axis]) - 0.5
    if order_coarse == 0:
        nearest = np.clip(np.floor(position + 0.5), 0, image.shape[axis] - 1).astype(np.int64)
        return slices.take(nearest, axis).astype(np.float32)
    grid = np.meshgrid(*[position if a == axis else np.arange(n) for a, n in enumerate(shape)], indexing="ij")
    return ndimage.map_coordinates(slices, grid, order=order_coarse, mode="nearest").astype(np.float32)


def _zoom(image: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    """Splines through the voxels' centers, kept within the image's own range (they overshoot at edges)."""
    factors = [1 / (old / new) for old, new in zip(image.shape, shape)]
    out = ndimage.zoom(image, factors, order=order, mode="nearest", grid_mode=True)
    return np.clip(out, image.min(), image.max(), out=out) if order > 1 else out


def _linear(image: np.ndarray, shape: tuple[int, ...], axis: int | None) -> np.ndarray:
    """All channels by linear interpolation; along a coarse axis by the nearest slice."""
    tensor = torch.from_numpy(contiguous(image, np.float32))
    if axis is not None:
        slices = tensor.movedim(axis + 1, 1)
        plane = [n for a, n in enumerate(shape) if a != axis]
        flat = F.interpolate(slices.flatten(0, 1)[:, None], plane, mode="bilinear", align_corners=False)
        tensor = flat.view(*slices.shape[:2], *plane).movedim(1, axis + 1)
        return F.interpolate(tensor[None], shape, mode="nearest-exact")[0].numpy()
    return F.interpolate(tensor[None], shape, mode="trilinear", align_corners=False)[0].numpy()

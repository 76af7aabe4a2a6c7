"""How a bundle's inferer moves its window over the image, as fields of a BackboneConfig."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import BackboneError
from ..config import WindowBlend

_PADDINGS = {"constant": "zero-centered", "replicate": "edge-centered", "reflect": "reflect-centered"}
#: MONAI gives no voxel of a window less weight than this.
_FLOOR = 1e-3


def window_fields(inferer: Any, dimensions: int, path: Path) -> dict[str, Any]:
    """Changes of a BackboneConfig so that our windows are those of MONAI's `inferer`.

    MONAI starts windows every int(size * (1 - overlap)) voxels and pushes the last one back inside, pads what is
    smaller than a window on both sides, and never lets weights fall below 1e-3. Source: MONAI's
    sliding_window_inference, dense_patch_slices and compute_importance_map.

    Raises:
        BackboneError: an inferer that moves in another way.
    """
    from monai.inferers import SimpleInferer, SliceInferer, SlidingWindowInferer, SlidingWindowInfererAdapt

    if type(inferer) is SimpleInferer:
        return {"patch_size": None}
    if type(inferer) not in (SlidingWindowInferer, SlidingWindowInfererAdapt, SliceInferer):
        raise BackboneError(
            f"{path}: the inferer {type(inferer).__name__} cannot be used; SimpleInferer, SlidingWindowInferer and "
            "SliceInferer can."
        )
    if isinstance(inferer, SliceInferer) and inferer.spatial_dim != 2:
        raise BackboneError(f"{path}: SliceInferer with spatial_dim {inferer.spatial_dim} cannot be used, only 2.")
    if isinstance(inferer, SliceInferer) != (dimensions == 2) and isinstance(inferer, SliceInferer):
        raise BackboneError(f"{path}: a SliceInferer needs a network of two dimensions.")
    padding = str(getattr(inferer.padding_mode, "value", inferer.padding_mode))
    if padding not in _PADDINGS or (padding == "constant" and inferer.cval != 0):
        raise BackboneError(f"{path}: the inferer's padding {padding!r} with value {inferer.cval:g} cannot be used.")
    sizes = [max(0, int(n or 0)) for n in _per_axis(inferer.roi_size, dimensions)]
    overlaps = [float(o) for o in _per_axis(inferer.overlap, dimensions)]
    mode = str(getattr(inferer.mode, "value", inferer.mode))
    sigma = set(_per_axis(inferer.sigma_scale, dimensions))
    if mode == "gaussian" and len(sigma) > 1:
        raise BackboneError(f"{path}: the inferer's 'sigma_scale' must be one number for all axes.")
    return {
        "patch_size": tuple((*sizes, 1)[:3]),
        "overlap": max(overlaps),
        "window_step": tuple((*(max(1, int(n * (1 - o))) for n, o in zip(sizes, overlaps)), 1)[:3]),
        "window_blend": WindowBlend(mode, float(sigma.pop()), _FLOOR, scaled=False),
        "padding": _PADDINGS[padding],
    }


def _per_axis(value: Any, dimensions: int) -> list[Any]:
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return (values * dimensions if len(values) == 1 else values)[:dimensions]

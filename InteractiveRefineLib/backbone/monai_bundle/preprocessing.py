"""Run a bundle's own transforms on an image in memory, and find out where the grid that they make lies in it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import BackboneError, InputError
from ...geometry import Geometry
from ...orientation import AxisOrder, contiguous
from ..config import BackboneConfig
from ..grid import NetworkGrid
from .answer import OwnAnswer

#: Sine of the angle by which axes may lean against each other before a grid counts as rotated.
_TILT = 1e-3


class BundlePreprocessing:
    """The transforms of a bundle as a `Preprocessing`.

    MONAI's arrays are (C, I, J, K) with a matrix to RAS, so the network's tensor axes are I, J, K.

    Args:
        transforms: MONAI's, without those that read files.
        keys: under which names they expect the image; several take one channel each.
        config: of the network.
        answer: what the bundle makes of the network's output.
        path: of the configuration, for messages.
        takes_slices: whether the bundle's inferer shows the slices of a volume to a 2-D network (SliceInferer).

    Raises:
        BackboneError: a transform is random.
    """

    def __init__(
        self,
        transforms: list[Any],
        keys: tuple[str, ...],
        config: BackboneConfig,
        answer: OwnAnswer,
        path: Path,
        *,
        takes_slices: bool = False,
    ) -> None:
        from monai.transforms import Randomizable

        self._takes_slices = takes_slices

        self._transforms, self._keys, self._config, self._answer, self._path = transforms, keys, config, answer, path
        for step in transforms:
            if isinstance(step, Randomizable):
                name = type(step).__name__
                raise BackboneError(f"{path}: 'preprocessing' holds {name}, which is random: it is for training only.")
        orienting = [n for n, step in enumerate(transforms) if type(step).__name__.startswith("Orientation")]
        self._orientation = transforms[orienting[0]] if orienting else None
        for step in transforms[: orienting[0]] if orienting else ():
            if type(step).__name__.startswith(("Spacing", "Resize", "Zoom")):
                raise BackboneError(
                    f"{path}: {type(step).__name__} comes before Orientationd, so that its result depends on how the "
                    "file is stored. Put Orientationd first."
                )

    def codes_by_tensor_axis(self, geometry: Geometry) -> str:
        """The directions that MONAI's own orientation gives this image, or those of the file where none is asked for.

        MONAI's choice for oblique images is not quite ours, so it is asked.
        """
        affine = geometry.ijk_to_ras
        turned = affine
        if self._orientation is not None:
            data = {key: _meta_tensor(torch.zeros(1, 2, 2, 2), affine) for key in self._keys}
            turned = _affine(self._apply(self._orientation, data)[self._keys[0]])
        directions = np.linalg.inv(affine[:3, :3]) @ turned[:3, :3]
        axes = np.abs(directions).argmax(axis=0)
        wanted = (
            tuple(int(2 - a) for a in axes),  # array axes K, J, I
            tuple(bool(directions[a, n] < 0) for n, a in enumerate(axes)),
        )
        for signs in itertools.product(("RL", "AP", "SI"), repeat=3):
            if len(set(signs)) == 3:
                for codes in itertools.product(*signs):
                    order = AxisOrder.toward(geometry, "".join(codes))
                    if (order.permutation, order.flipped) == wanted:
                        return "".join(codes)
        raise AssertionError("unreachable")

    def __call__(self, image: np.ndarray, geometry: Geometry, device: torch.device) -> tuple[torch.Tensor, NetworkGrid]:
        """See `Preprocessing`."""
        shape = tuple(int(n) for n in image.shape[1:])
        flat = self._flat_axis(shape)
        affine = geometry.kji_to_ras  # of the array's own axes: MONAI's I, J, K
        array = torch.from_numpy(contiguous(image, np.float32))
        if flat is not None:
            array, affine = array.squeeze(flat + 1), _flattened(affine, flat)
        if len(self._keys) > 1 and len(self._keys) != len(array):
            raise InputError(f"{self._path}: the bundle reads {len(self._keys)} images, but there are {len(array)}.")
        parts = [array] if len(self._keys) == 1 else [c[None] for c in array]
        data = {key: _meta_tensor(part.clone(), affine) for key, part in zip(self._keys, parts)}
        main = self._keys[0]
        seen = [(-0.5, n - 0.5) for n in array.shape[1:]]
        lines = [(0.0, 1.0)] * (array.ndim - 1)
        for step in self._transforms:
            before = data[main]
            data = self._apply(step, data)
            main = main if main in data else next(iter(data))
            lines = self._follow(step, before, data[main], affine, lines, seen)
        result = data[main]
        tensor = result.as_tensor().to(dtype=torch.float32, device=device).contiguous()
        if tensor.shape[0] != len(self._config.channels):
            raise BackboneError(
                f"{self._path}: 'preprocessing' makes {tensor.shape[0]} channels, but metadata.json names "
                f"{len(self._config.channels)} under network_data_format.inputs."
            )
        if not torch.isfinite(tensor).all():
            raise InputError("The bundle's preprocessing makes NaN or infinite values of this image.")
        grid_shape = list(tensor.shape[1:])
        crop = [_voxels(low, high, n) for (low, high), n in zip(seen, array.shape[1:])]
        if flat is not None:
            tensor = tensor.unsqueeze(flat + 1)
            for values, value in ((grid_shape, 1), (crop, slice(0, 1)), (lines, (0.0, 1.0))):
                values.insert(flat, value)
        if self._takes_slices and lines[2] != (0.0, 1.0):
            raise BackboneError(
                f"{self._path}: slices must stay as they are, but 'preprocessing' resamples across them."
            )

        def channels(output: torch.Tensor) -> np.ndarray:
            chosen = self._answer(output if flat is None else output.squeeze(flat + 1), data, main)
            if chosen.shape != tuple(array.shape[1:]):
                raise BackboneError(f"{self._path}: 'postprocessing' does not lead back to the image: {chosen.shape}.")
            return chosen if flat is None else np.expand_dims(chosen, flat)

        leads_back = self._answer.leads_back(
            tuple(result.shape[1:]), tuple(array.shape[1:]), len(self._config.channel_labels)
        )
        own = channels if leads_back else None
        grid = NetworkGrid(shape, tuple(crop), tuple(grid_shape), lines=tuple(lines), own_channels=own)
        return tensor, grid

    def _flat_axis(self, shape: tuple[int, ...]) -> int | None:
        """The axis that the bundle's two-dimensional transforms do not have; None where they work on volumes."""
        if self._takes_slices:
            return None
        if self._config.dimensions == 2:
            if 1 not in shape:
                raise InputError(f"{self._path}: this bundle is for two-dimensional images; choose a single slice.")
            return 2 if shape[2] == 1 else shape.index(1)
        if 1 in shape:
            raise BackboneError(f"{self._path}: a 3-D network, but the image is a single slice. Load the whole volume.")
        return None

    def _apply(self, step: Any, data: dict[str, Any]) -> dict[str, Any]:
        from monai.transforms import MapTransform, allow_missing_keys_mode

        try:
            if isinstance(step, MapTransform):
                with allow_missing_keys_mode(step):  # there is no label, for instance
                    return step(data)
            return {key: step(value) for key, value in data.items()}
        except Exception as error:  # whatever MONAI or the bundle raises
            lines = [line for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
            raise BackboneError(
                f"{self._path}: {type(step).__name__} of 'preprocessing' failed on this image: {lines[-1][:300]}"
            ) from error

    def _follow(
        self, step: Any, before: Any, after: Any, affine: np.ndarray, lines: list, seen: list
    ) -> list[tuple[float, float]]:
        """Where the nodes lie after a step, per axis (first, step) in image voxels; narrows `seen` at a crop."""
        name = type(step).__name__
        if not hasattr(after, "affine") or not hasattr(before, "affine"):
            raise BackboneError(f"{self._path}: {name} forgets where the voxels lie; set its 'track_meta' to true.")
        if getattr(getattr(step, "spacing_transform", step), "recompute_affine", False):
            raise BackboneError(f"{self._path}: {name} with 'recompute_affine' cannot be used.")
        size = len(affine) - 1
        matrix = np.linalg.inv(affine) @ _affine(after)[: size + 1, : size + 1]
        linear = matrix[:size, :size]
        steps = np.diag(linear)
        off = np.abs(linear - np.diag(steps)).max()
        if (steps <= 0).any() or off > _TILT * steps.max():
            raise BackboneError(f"{self._path}: {name} turns or shears the image, which cannot be followed here.")
        new = [(float(f"{matrix[a, size]:.10g}"), float(f"{steps[a]:.10g}")) for a in range(size)]
        same_step = all(abs(n[1] - o[1]) <= 1e-6 * o[1] for n, o in zip(new, lines))
        if same_step and tuple(after.shape[1:]) != tuple(before.shape[1:]):
            for axis, (first, width) in enumerate(new):
                low, high = first - 0.5 * width, first + (after.shape[axis + 1] - 0.5) * width
                seen[axis] = (max(seen[axis][0], low), min(seen[axis][1], high))
        return new


def _meta_tensor(array: torch.Tensor, affine: np.ndarray) -> Any:
    """An image as MONAI's readers deliver it: channel first, matrix from its axes to RAS."""
    from monai.data import MetaTensor

    matrix = torch.as_tensor(np.array(affine), dtype=torch.float64)
    meta = {"original_affine": matrix.clone(), "space": "RAS", "filename_or_obj": "image"}
    meta["spatial_shape"] = np.array(array.shape[1:])
    return MetaTensor(array, affine=matrix, meta=meta)


def _affine(found: Any) -> np.ndarray:
    return np.asarray(found.affine.cpu().numpy(), dtype=np.float64)


def _flattened(affine: np.ndarray, flat: int) -> np.ndarray:
    """The matrix of a single slice, whose axes MONAI sees as a picture's: spacing only."""
    spacing = np.delete(np.linalg.norm(affine[:3, :3], axis=0), flat)
    return np.diag([*spacing, 1.0])


def _voxels(low: float, high: float, count: int) -> slice:
    """The image voxels between two edges, at least one."""
    start = min(max(0, int(np.ceil(low - 1e-6))), count - 1)
    return slice(start, max(start + 1, min(count, int(np.floor(high + 1e-6)) + 1)))

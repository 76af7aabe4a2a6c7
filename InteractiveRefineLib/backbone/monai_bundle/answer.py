"""What a bundle itself makes of the network's output: its own post-processing, back on the image's grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ...errors import BackboneError
from .description import Description

#: Probabilities of all classes on the image's grid may not take more; then logits are interpolated piece by piece.
_MOST_BYTES = 8 << 30


class OwnAnswer:
    """Runs a bundle's own `postprocessing` on the network's output.

    MONAI's bundles interpolate probabilities back to the image, or labels by nearest neighbor, and may clean up
    afterward. That is the owner's answer and the user's starting point, so it is taken from there.

    Args:
        transforms: MONAI's, without those that write files.
        description: of the bundle.
        image_key: under which name the transforms were told to find the image.
    """

    def __init__(self, transforms: list[Any], description: Description, image_key: str) -> None:
        names = [type(step).__name__ for step in transforms]
        config = description.config
        self._path, self._threshold, self._paint = description.path, config.threshold, config.paint
        self._several = config.activation != "softmax"
        inverting = [n for n, name in enumerate(names) if name.startswith("Invert")]
        self._inverts = bool(inverting)
        self._key = "pred"
        discrete = [n for n, name in enumerate(names) if name.startswith("AsDiscrete")]
        self._all_channels = bool(inverting) and not (discrete and discrete[0] < inverting[0])
        # Of overlapping channels the probabilities are needed, not only which of them exceed the threshold.
        self._cut = discrete[-1] if self._several and discrete else len(transforms)
        # What follows may turn masks into some other numbering, which the channels' own names replace.
        self._before = transforms[: self._cut]
        self._after = [step for step in transforms[self._cut + 1 :] if not type(step).__name__.startswith("Lambda")]
        if not self._several:
            self._before = [step for step in self._before if not type(step).__name__.startswith("Lambda")]
        self._image_key = image_key
        self._activates = any(name.startswith("Activations") for name in names[: self._cut])

    def leads_back(self, grid_shape: tuple[int, ...], image_shape: tuple[int, ...], count: int) -> bool:
        """Whether the bundle itself brings its answer of `count` channels to the image's grid, in bearable memory."""
        if self._all_channels and 4 * count * math.prod(image_shape) > _MOST_BYTES:
            return False
        return self._inverts or grid_shape == image_shape

    def __call__(self, output: torch.Tensor, data: dict[str, Any], main: str) -> np.ndarray:
        """Which output channel every image voxel belongs to, (*image shape) int64, -1 for none.

        Args:
            output: (C, *grid shape) of the network.
            data: what preprocessing returned; holds the image with the record of what was done to it.
            main: its key of the image.
        """
        from monai.data import MetaTensor

        image = data[main]
        prediction = MetaTensor(output.detach().cpu(), affine=image.affine.cpu(), meta=image.meta)
        held = {**data, self._key: prediction}
        held.setdefault(self._image_key, image)
        held = self._run(self._before, held)
        if not self._several:
            found = held[self._key]
            if found.shape[0] > 1:
                found = torch.as_tensor(found).argmax(dim=0, keepdim=True)
            channels = np.rint(np.asarray(found[0].cpu())).astype(np.int64)
            if channels.size and not 0 <= channels.min() <= channels.max() < output.shape[0]:
                raise BackboneError(f"{self._path}: 'postprocessing' makes labels that are no numbers of channels.")
            return channels
        probabilities = torch.as_tensor(held[self._key]).float()
        probabilities = probabilities if self._activates else torch.sigmoid(probabilities)
        masks = MetaTensor((probabilities >= self._threshold).float(), meta=held[self._key].meta)
        masks = torch.as_tensor(self._run(self._after, {**held, self._key: masks})[self._key]) > 0
        if masks.shape[0] != probabilities.shape[0]:
            raise BackboneError(
                f"{self._path}: 'postprocessing' ends with {masks.shape[0]} channels, which is not clear."
            )
        chosen = torch.full(masks.shape[1:], -1, dtype=torch.int64)
        if self._paint:
            for channel in self._paint:
                chosen[masks[channel]] = channel
        else:
            best = torch.where(masks, probabilities, -torch.ones_like(probabilities)).argmax(dim=0)
            chosen = torch.where(masks.any(dim=0), best, chosen)
        return chosen.cpu().numpy()

    def _run(self, transforms: list[Any], held: dict[str, Any]) -> dict[str, Any]:
        for step in transforms:
            try:
                held = step(held)
            except Exception as error:  # whatever MONAI or the bundle raises
                lines = [line for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
                raise BackboneError(
                    f"{self._path}: {type(step).__name__} of 'postprocessing' failed: {lines[-1][:300]}"
                ) from error
        return held

"""From an image to a network's input: which orientation, which grid, which intensities."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from ..geometry import Geometry
from .config import BackboneConfig
from .grid import NetworkGrid, plan_grid
from .intensity import normalize


class Preprocessing(Protocol):
    """What the owner of a network does to an image before the network sees it."""

    def codes_by_tensor_axis(self, geometry: Geometry) -> str:
        """Directions toward which the network's three tensor axes increase, for an image of this geometry."""

    def __call__(self, image: np.ndarray, geometry: Geometry, device: torch.device) -> tuple[torch.Tensor, NetworkGrid]:
        """The network's input (channels, *grid shape) float32 on the device, and where its grid lies.

        Args:
            image: (C, A0, A1, A2) in the order and direction of the tensor axes; stays as it is.
            geometry: of that image.

        Raises:
            BackboneError, InputError: the image cannot be brought to what the network expects.
        """


class ConfigPreprocessing:
    """What backbone.json describes: crop, intensities, linear resampling to a spacing or a shape."""

    def __init__(self, config: BackboneConfig) -> None:
        self._config = config

    def codes_by_tensor_axis(self, geometry: Geometry) -> str:
        """See `Preprocessing`; the same for all images."""
        return self._config.codes_by_tensor_axis

    def __call__(self, image: np.ndarray, geometry: Geometry, device: torch.device) -> tuple[torch.Tensor, NetworkGrid]:
        """See `Preprocessing`."""
        grid = plan_grid(self._config, image, rounded_spacing(geometry))
        cropped = (slice(None), *grid.crop)
        if self._config.intensity.of_single_voxels:  # the rest of the image does not matter
            normalized = normalize(image[cropped], self._config.intensity)
        else:
            normalized = normalize(image, self._config.intensity)[cropped]
        return grid.to_network(torch.from_numpy(normalized).to(device)), grid


def rounded_spacing(geometry: Geometry) -> tuple[float, float, float]:
    """Spacing in mm along the array axes (K, J, I of `geometry`), to five digits.

    An oblique header turns 1 mm into 1.0000000000000002 mm, and grids derived from it would jump.
    """
    return tuple(float(f"{s:.5g}") for s in geometry.spacing_kji)

"""nnU-Net's intensity rules, on the image's own grid: resampling comes afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import InputError

SCHEMES = (
    "ZScoreNormalization", "CTNormalization", "NoNormalization", "RescaleTo01Normalization", "RGBTo01Normalization"
)  # fmt: skip
_SMALLEST = 1e-8  # nothing is divided by less


@dataclass(frozen=True)
class ChannelRule:
    """What is done to one channel.

    Attributes:
        scheme: one of SCHEMES.
        use_mask: ZScoreNormalization looks at, and changes, the voxels inside the nonzero region only.
        mean, std, low, high: CTNormalization's, of the foreground of all training cases.
    """

    scheme: str
    use_mask: bool = False
    mean: float = 0.0
    std: float = 1.0
    low: float = 0.0
    high: float = 0.0

    def apply(self, image: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """A normalized copy, float32.

        Args:
            image: (A0, A1, A2) one channel, cropped.
            inside: bool of that shape, the nonzero region with its holes filled.

        Raises:
            InputError: intensities that the rule does not allow.
        """
        image = image.astype(np.float32)
        if self.scheme == "ZScoreNormalization":
            if self.use_mask:
                seen = image[inside]
                image[inside] = (seen - seen.mean()) / max(seen.std(), _SMALLEST)
            else:
                mean, std = image.mean(), image.std()
                image -= mean
                image /= max(std, _SMALLEST)
        elif self.scheme == "CTNormalization":
            np.clip(image, self.low, self.high, out=image)
            image -= self.mean
            image /= max(self.std, _SMALLEST)
        elif self.scheme == "RescaleTo01Normalization":
            image -= image.min()
            image /= max(image.max(), _SMALLEST)
        elif self.scheme == "RGBTo01Normalization":
            if image.min() < 0 or image.max() > 255:
                raise InputError(
                    f"The network expects colors from 0 to 255, but the image has intensities from {image.min():g} to "
                    f"{image.max():g}. Load the picture as it is."
                )
            image /= 255.0
        return image

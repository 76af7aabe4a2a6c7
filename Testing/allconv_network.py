"""The all-convolutional 3-D U-Net of the shared abdominal CT weights, for their state dict.

Written after the layer list of OBELISK-Net's repository (Heinrich et al., MedIA 2019, MIT); names as in the weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

#: Name of each encoder layer, channels in and out, stride.
_DOWN = (
    ("0", 1, 5, 1), ("1", 5, 14, 2), ("11", 14, 14, 1), ("2", 14, 28, 2), ("22", 28, 28, 1), ("3", 28, 42, 2),
    ("33", 42, 42, 1), ("4", 42, 56, 2), ("44", 56, 56, 1), ("5", 56, 70, 2), ("55", 70, 70, 1),
)  # fmt: skip
#: Name of each decoder layer, the encoder layer it is joined with, channels in and out.
_UP = (
    ("6dU", "44", 126, 56), ("6cU", "33", 98, 42), ("6bU", "22", 70, 28), ("6U", "11", 42, 14), ("7U", "0", 19, 9),
)  # fmt: skip


class AllConvUNet(nn.Module):
    """Raw HU (1, 1, X, Y, Z) to logits (1, classes, X, Y, Z); dropout, off in use, is left out."""

    def __init__(self, classes: int = 9) -> None:
        super().__init__()
        for name, channels, out, stride in _DOWN:
            self.add_module(f"conv{name}", nn.Conv3d(channels, out, 3, stride, 1))
            self.add_module(f"batch{name}", nn.BatchNorm3d(out))
        for name, _, channels, out in _UP:
            self.add_module(f"conv{name}", nn.Conv3d(channels, out, 3, 1, 1))
            self.add_module(f"batch{name}", nn.BatchNorm3d(out))
        self.conv77U = nn.Conv3d(_UP[-1][3], classes, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = {}
        for name, *_ in _DOWN:
            x = seen[name] = self._layer(name, x)
        for name, joined, *_ in _UP:
            x = F.interpolate(x, size=seen[joined].shape[2:], mode="trilinear", align_corners=False)
            x = self._layer(name, torch.cat([x, seen[joined]], 1))
        return self.conv77U(x)

    def _layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        convolution, norm = getattr(self, f"conv{name}"), getattr(self, f"batch{name}")
        return F.leaky_relu(norm(convolution(x)), 0.1)


def build(classes: int = 9) -> nn.Module:
    """The network without weights, for backbone.json's "factory"."""
    return AllConvUNet(classes)

"""MeshNet: dilated 3-D convolutions at full resolution, for the shared brain weights (Fedorov et al., 2017)."""

from __future__ import annotations

import torch
from torch import nn


class MeshNet(nn.Module):
    """(1, 1, D, H, W) intensities from 0 to 1 to logits (1, classes, D, H, W).

    Args:
        channels: of every hidden layer.
        classes: of the output.
        dilations: of the hidden layers.
        elu: ELU between the layers, else ReLU.
    """

    def __init__(self, channels: int, classes: int, dilations: list[int], elu: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for dilation in dilations:
            layers.append(nn.Conv3d(inputs, channels, 3, padding=dilation, dilation=dilation))
            layers.append(nn.ELU(inplace=True) if elu else nn.ReLU(inplace=True))
            inputs = channels
        self.model = nn.Sequential(*layers, nn.Conv3d(channels, classes, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


def build(channels: int, classes: int, dilations: list[int], elu: bool = False) -> nn.Module:
    """The network without weights, for backbone.json's "factory" and its "kwargs"."""
    return MeshNet(channels, classes, dilations, elu)

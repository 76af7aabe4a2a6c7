"""The small 3-D U-Net of the embedded backbone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _convolve(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 x 3 convolution, batch normalization, leaky ReLU."""
    # Batch normalization, whose statistics are frozen after training, keeps the network local: what it says about
    # one organ cannot change because another part of the image does.
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm3d(channels_out, momentum=0.05),
        nn.LeakyReLU(0.01, inplace=True),
    )


class PhantomUNet(nn.Module):
    """Encoder and decoder of four levels with a 1 x 1 x 1 head.

    `forward` is `head(features(x))`, so that the last layer can be tuned on stored features; both survive
    `torch.jit.script`.

    Args:
        classes: output channels, background included.
        width: channels at full resolution; they double at each of three levels further down.
    """

    def __init__(self, classes: int = 7, width: int = 12) -> None:
        super().__init__()
        c0, c1, c2, c3 = (width * 2**level for level in range(4))
        self.encode0 = nn.Sequential(_convolve(1, c0), _convolve(c0, c0))
        self.encode1 = nn.Sequential(_convolve(c0, c1, stride=2), _convolve(c1, c1))
        self.encode2 = nn.Sequential(_convolve(c1, c2, stride=2), _convolve(c2, c2))
        self.encode3 = nn.Sequential(_convolve(c2, c3, stride=2), _convolve(c3, c3))
        self.up2 = nn.ConvTranspose3d(c3, c2, 2, stride=2)
        self.up1 = nn.ConvTranspose3d(c2, c1, 2, stride=2)
        self.up0 = nn.ConvTranspose3d(c1, c0, 2, stride=2)
        self.decode2 = _convolve(2 * c2, c2)
        self.decode1 = _convolve(2 * c1, c1)
        self.decode0 = _convolve(2 * c0, c0)
        self.head = nn.Conv3d(c0, classes, 1)

    @torch.jit.export
    def features(self, x: Tensor) -> Tensor:
        """Input of the head: (N, 1, K, J, I) float32, each side a multiple of 8 -> (N, width, K, J, I)."""
        x0 = self.encode0(x)
        x1 = self.encode1(x0)
        x2 = self.encode2(x1)
        x3 = self.encode3(x2)
        y = self.decode2(torch.cat([self.up2(x3), x2], 1))
        y = self.decode1(torch.cat([self.up1(y), x1], 1))
        return self.decode0(torch.cat([self.up0(y), x0], 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits: (N, 1, K, J, I) float32, each side a multiple of 8 -> (N, classes, K, J, I)."""
        return self.head(self.features(x))

"""The architectures on which partial evaluation is tested and timed; the libraries they come from are optional."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Architecture:
    """One network family.

    Attributes:
        library: the package it comes from, "" for torch alone.
        make: builds it from a base width; two classes, one channel.
        small: width and input shape for tests.
        width: for benchmarks, about what people use.
        scriptable: torch.jit.script compiles it; all of them can be traced.
    """

    library: str
    make: Callable[[int], nn.Module]
    small: tuple[int, tuple[int, ...]]
    scriptable: bool = False
    width: int = 16

    @property
    def is_installed(self) -> bool:
        """Its library can be imported."""
        return not self.library or importlib.util.find_spec(self.library) is not None


def _monai(name: str):
    return getattr(importlib.import_module("monai.networks.nets"), name)


def _unet(width: int) -> nn.Module:
    channels = (width, 2 * width, 4 * width)
    return _monai("UNet")(
        spatial_dims=3, in_channels=1, out_channels=2, channels=channels, strides=(2, 2), num_res_units=2
    )


def _dynunet(width: int, supervised: bool) -> nn.Module:
    return _monai("DynUNet")(
        spatial_dims=3, in_channels=1, out_channels=2, kernel_size=[3, 3, 3, 3], strides=[1, 2, 2, 2],
        upsample_kernel_size=[2, 2, 2], filters=[width, 2 * width, 4 * width, 4 * width], res_block=True,
        deep_supervision=supervised, deep_supr_num=2,
    )  # fmt: skip


def _segresnet(width: int) -> nn.Module:
    return _monai("SegResNet")(
        spatial_dims=3, init_filters=width, in_channels=1, out_channels=2, blocks_down=(1, 2, 2), blocks_up=(1, 1)
    )


def _swinunetr(width: int) -> nn.Module:
    return _monai("SwinUNETR")(
        in_channels=1,
        out_channels=2,
        depths=(1, 1, 1, 1),
        num_heads=(1, 2, 2, 4),
        feature_size=width,
        window_size=4,
    )


def _attention_unet(width: int) -> nn.Module:
    channels = (width, 2 * width, 4 * width)
    return _monai("AttentionUnet")(spatial_dims=3, in_channels=1, out_channels=2, channels=channels, strides=(2, 2))


def _nnunet(kind: str, width: int, supervised: bool) -> nn.Module:
    unet = importlib.import_module("dynamic_network_architectures.architectures.unet")
    blocks = "n_conv_per_stage" if kind == "PlainConvUNet" else "n_blocks_per_stage"
    return getattr(unet, kind)(
        input_channels=1, n_stages=4, features_per_stage=(width, 2 * width, 4 * width, 4 * width),
        conv_op=nn.Conv3d, kernel_sizes=3, strides=(1, 2, 2, 2), num_classes=2, n_conv_per_stage_decoder=2,
        conv_bias=True, norm_op=nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=supervised, **{blocks: 2},
    )  # fmt: skip


class MeshNet(nn.Sequential):
    """Dilated convolutions at full resolution, no pooling (Fedorov et al., IJCNN 2017)."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        for i, dilation in enumerate((1, 2, 4, 8, 4, 2, 1)):
            layers += [
                nn.Conv3d(width if i else 1, width, 3, padding=dilation, dilation=dilation),
                nn.BatchNorm3d(width),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers, nn.Conv3d(width, 2, 1))


class FlowUNet2d(nn.Module):
    """A 2-D U-Net that pads odd sizes and chooses its depth by the shape of the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = _double(1, width)
        self.down = nn.ModuleList([_double(width * 2**i, width * 2 ** (i + 1)) for i in range(3)])
        self.up = nn.ModuleList([_double(width * 3 * 2**i, width * 2**i) for i in range(3)])
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        height, width = x.shape[2:]
        depth = 1
        while depth < 3 and min(height, width) >= 8 * 2**depth:
            depth += 1
        multiple = 2**depth
        x = nn.functional.pad(x, (0, -width % multiple, 0, -height % multiple))
        skips = [self.stem(x)]
        for level in range(depth):
            skips.append(self.down[level](nn.functional.max_pool2d(skips[-1], 2)))
        y = skips.pop()
        for level in reversed(range(depth)):
            skip = skips.pop()
            y = nn.functional.interpolate(y, size=skip.shape[2:], mode="bilinear", align_corners=False)
            y = self.up[level](torch.cat([y, skip], 1))
        return self.head(y)[:, :, :height, :width]


def _double(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
        nn.Conv2d(out, out, 3, padding=1), nn.GroupNorm(1, out), nn.PReLU(out),
    )  # fmt: skip


_CUBE = (1, 1, 16, 16, 16)
_NNUNET = "dynamic_network_architectures"

ARCHITECTURES = {
    "PlainConvUNet": Architecture(_NNUNET, lambda w: _nnunet("PlainConvUNet", w, False), (4, _CUBE), width=32),
    "PlainConvUNet, deep supervision": Architecture(_NNUNET, lambda w: _nnunet("PlainConvUNet", w, True), (4, _CUBE)),
    "ResidualEncoderUNet": Architecture(_NNUNET, lambda w: _nnunet("ResidualEncoderUNet", w, False), (4, _CUBE)),
    "ResidualEncoderUNet, deep supervision": Architecture(
        _NNUNET, lambda w: _nnunet("ResidualEncoderUNet", w, True), (4, _CUBE)
    ),
    "UNet": Architecture("monai", _unet, (4, _CUBE), True, 32),
    "DynUNet": Architecture("monai", lambda w: _dynunet(w, False), (4, _CUBE), True),
    "DynUNet, deep supervision": Architecture("monai", lambda w: _dynunet(w, True), (4, _CUBE)),
    "SegResNet": Architecture("monai", _segresnet, (8, _CUBE), True),
    "SwinUNETR": Architecture("monai", _swinunetr, (12, (1, 1, 64, 32, 32)), width=24),
    "AttentionUnet": Architecture("monai", _attention_unet, (4, _CUBE), True),
    "MeshNet": Architecture("", MeshNet, (4, _CUBE), True),
    "2-D U-Net with control flow": Architecture("", FlowUNet2d, (4, (1, 1, 21, 34))),
}

"""What backbone.json says about a pretrained network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..segmentation import Segment

CROPS = ("none", "foreground", "body")
INTENSITY_RULES = ("none", "window", "percentile-zscore", "percentile-scale")
ACTIVATIONS = ("softmax", "sigmoid", "regions")
PADDINGS = ("edge", "zero-centered", "edge-centered", "reflect-centered")
BLENDS = ("gaussian", "nnunet", "constant")


@dataclass(frozen=True)
class IntensityRule:
    """How intensities are brought to what the network was trained on."""

    rule: str = "none"
    low: float = 0.0
    high: float = 0.0
    mean: float | None = None
    std: float | None = None

    @property
    def of_single_voxels(self) -> bool:
        """True where a voxel's new intensity depends on no other voxel."""
        return self.rule in ("none", "window")


@dataclass(frozen=True)
class CropRule:
    """Which part of the image the network sees.

    "none": all of it. "foreground": the box of the nonzero voxels. "body": along the axes that are not
    head-foot, the range of slices of which more than `fraction` of the voxels exceed `threshold`.
    """

    mode: str = "none"
    threshold: float = -300.0
    fraction: float = 0.1


@dataclass(frozen=True)
class WindowBlend:
    """How much each voxel of a window counts where windows overlap.

    Attributes:
        shape: "gaussian" around the window's middle, "nnunet" for one around its voxel n // 2, or "constant".
        sigma: standard deviation of the Gaussian, as a part of each side.
        floor: smallest weight.
        scaled: whether the largest weight is made 1 first: between the voxels of an even side the Gaussian is higher.
    """

    shape: str = "gaussian"
    sigma: float = 0.125
    floor: float = 1e-4
    scaled: bool = True


@dataclass(frozen=True)
class BackboneConfig:
    """What backbone.json says about a network.

    Attributes:
        classes: one segment per output class except background; `label` is its value in label maps.
        channel_labels: the label of every output channel, in channel order; several channels may share one, and 0
            ignores a channel.
        added: classes that the network does not know and the user wants to draw; their labels follow the others.
        axis_codes: directions toward which the image axes I, J, K increase when the network sees them.
        tensor_axes: order of the network's spatial tensor axes, "KJI" (usual) or "IJK".
        spacing: voxel size in mm along I, J, K the network expects, or None for the image's own.
        spatial_shape: fixed input size along I, J, K, or None; where given, `spacing` follows from it.
        patch_size: sliding-window size along I, J, K (0: the whole side), or None for the whole image at once.
        overlap: of neighboring windows, 0 to <1.
        window_step: windows start at its multiples along I, J, K, the last one pushed back inside (MONAI); None: they
            are evenly spread and overlap by at least `overlap`.
        window_blend: how overlapping windows are averaged.
        divisible_by: every side of the network's input is padded to a multiple of it.
        padding: "edge" repeats the last voxels beyond the end, "zero-centered" adds zeros on both sides (nnU-Net), the
            other "-centered" ones repeat the last voxels or mirror the image on both sides.
        threshold: with sigmoid and regions, the probability above which a channel counts.
        paint: with regions, the channels from the first painted to the last; () for their own order.
        model: {"torchscript": file}, {"exported": file} or {"factory": "module:function", "weights": file,
            "kwargs": arguments}; empty where another kind of folder says it.
    """

    name: str
    dimensions: int
    channels: tuple[str, ...]
    classes: tuple[Segment, ...]
    channel_labels: tuple[int, ...]
    axis_codes: str = "LPS"
    tensor_axes: str = "KJI"
    spacing: tuple[float, ...] | None = None
    spatial_shape: tuple[int, ...] | None = None
    crop: CropRule = field(default_factory=CropRule)
    intensity: IntensityRule = field(default_factory=IntensityRule)
    activation: str = "softmax"
    patch_size: tuple[int, ...] | None = None
    overlap: float = 0.5
    window_step: tuple[int, ...] | None = None
    window_blend: WindowBlend = field(default_factory=WindowBlend)
    divisible_by: int = 1
    padding: str = "edge"
    threshold: float = 0.5
    paint: tuple[int, ...] = ()
    model: dict[str, Any] = field(default_factory=dict)
    license: str = ""
    added: tuple[Segment, ...] = ()

    @property
    def codes_by_tensor_axis(self) -> str:
        """Axis codes in the order of the network's tensor axes."""
        return self.axis_codes if self.tensor_axes == "IJK" else self.axis_codes[::-1]

    def by_tensor_axis(self, along_ijk: tuple) -> tuple:
        """Reorder a value per image axis I, J, K into the order of the tensor axes."""
        return tuple(along_ijk) if self.tensor_axes == "IJK" else tuple(along_ijk)[::-1]

"""A pretrained network with its description, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from .config import BackboneConfig
from .preprocessing import ConfigPreprocessing, Preprocessing
from .torchscript import graph_constants


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained network with its description.

    Attributes:
        config: what is known of the network.
        network: maps (1, channels, *spatial) float32 to logits (1, output channels, *spatial); in eval mode.
        folder: where it was loaded from.
        own_preprocessing: what is done to an image first, where that is not what `config` describes.
        kind: what kind of folder it is, for people.
        details: further lines for check-backbone, e.g. which folds were averaged.
    """

    config: BackboneConfig
    network: torch.nn.Module
    folder: Path
    own_preprocessing: Preprocessing | None = None
    kind: str = ""
    details: tuple[str, ...] = ()

    @property
    def preprocessing(self) -> Preprocessing:
        """From an image to the network's input."""
        return self.own_preprocessing or ConfigPreprocessing(self.config)

    @property
    def n_parameters(self) -> int:
        """Number of trainable values of the network."""
        return sum(p.numel() for p in self.parameters())

    def parameters(self) -> list[torch.Tensor]:
        """The network's weights, the very objects; those of a frozen TorchScript network are constants of its graph."""
        found = list(self.network.parameters())
        if not found and isinstance(self.network, torch.jit.ScriptModule):
            found = graph_constants(self.network.inlined_graph)
        return found

    def describe(self) -> str:
        """Several lines for the user: what was recognized in the folder."""
        c = self.config
        grid = "the image's own spacing"
        if c.spatial_shape:
            grid = "fixed shape " + " x ".join(map(str, c.spatial_shape[: c.dimensions])) + " voxels (I, J, K)"
        elif c.spacing:
            grid = " x ".join(f"{s:g}" for s in c.spacing[: c.dimensions]) + " mm (I, J, K)"
        windows = "whole image at once"
        if c.patch_size:
            size = " x ".join(map(str, c.patch_size[: c.dimensions]))
            windows = f"windows of {size} voxels, overlap {c.overlap:.0%}"
        rule = c.intensity
        intensity = rule.rule if rule.rule == "none" else f"{rule.rule} {rule.low:g} to {rule.high:g}"
        orientation, crop = c.axis_codes, f", crop: {c.crop.mode}"
        if self.own_preprocessing is not None:
            orientation, crop, intensity = ("by the network's own rules", "", "by the network's own rules")
        lines = [
            f"Backbone    {c.name} ({self.folder})",
            *([f"Kind        {self.kind}"] if self.kind else []),
            f"Network     {c.dimensions}-D, {self.n_parameters:,} parameters, {c.activation}",
            f"Channels    {', '.join(c.channels)}",
            f"Orientation {orientation}",
            f"Grid        {grid}{crop}; {windows}",
            f"Intensity   {intensity}",
            *([f"License     {c.license}"] if c.license else []),
            *[f"            {line}" for line in self.details],
            "Classes",
            "  0  background",
            *[f"  {s.label:<2} {s.name}" for s in c.classes],
        ]
        return "\n".join(lines)

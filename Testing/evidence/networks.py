"""The networks of the evidence: shared ones get a description, small ones are trained once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from Testing.real_backbones import make_backbone_folder


@dataclass(frozen=True)
class Networks:
    """A folder with one subfolder per network."""

    folder: Path

    def get(self, name: str) -> Path:
        """The folder of a network, made when it is not there yet.

        Args:
            name: of `real_backbones.NETWORKS`, of `train_small_nets.RECIPES`, of
                `guided_nets.GUIDED`, or "abdomen-without-liver".
        """
        target = self.folder / name
        if not (target / "done").is_file():
            if name == "abdomen-without-liver":
                make_backbone_folder("abdomen", target, missing="liver")
            elif name in ("tumor", "nuclei", "abdomen-mr"):
                from Testing.train_small_nets import make_small_net

                make_small_net(name, target)
            elif name in ("nuclei-strokes", "nuclei-extremes"):
                from Testing.evidence.guided_nets import make_guided_net

                make_guided_net(name, target)
            else:
                make_backbone_folder(name, target)
            (target / "done").touch()
        return target

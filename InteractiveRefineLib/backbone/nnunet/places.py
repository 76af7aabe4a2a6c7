"""Where a trained model lies: people point at its folder, at a fold inside it, or at the dataset's folder above it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BackboneError

#: What nnU-Net writes into the folder of one trained model, beside the folds.
DATASET, PLANS = "dataset.json", "plans.json"
CHECKPOINT = "checkpoint_final.pth"
_OPTIONS = ("folds", "checkpoint")
LAYOUT = """Expected folder, as nnU-Net v2 writes it below nnUNet_results/DatasetXXX_NAME:
  nnUNetTrainer__nnUNetPlans__3d_fullres/
    dataset.json
    plans.json
    fold_0/checkpoint_final.pth"""


@dataclass(frozen=True)
class Place:
    """One trained model.

    Attributes:
        folder: holds dataset.json, plans.json and the folds.
        folds: chosen ones, "0" to "4" or "all", in the order in which they are averaged.
        checkpoint: name of the file in each fold.
    """

    folder: Path
    folds: tuple[str, ...]
    checkpoint: str = CHECKPOINT

    @property
    def configuration(self) -> str | None:
        """What the folder's name says was trained, like "3d_fullres"; None for a folder named otherwise."""
        parts = self.folder.resolve().name.split("__")
        return parts[2] if len(parts) == 3 and all(parts) else None

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """The weight files, one per fold."""
        return tuple(self.folder / f"fold_{fold}" / self.checkpoint for fold in self.folds)


def recognizes(folder: Path) -> bool:
    """Whether the folder is a trained model, one of its folds, or holds trained models; looks at names only."""
    return bool(_models(folder))


def find_place(folder: Path, options: dict[str, Any]) -> Place:
    """The trained model that a folder and the user's options mean.

    Args:
        options: "folds", a list of fold numbers or "all", and "checkpoint", the name of the weight files.

    Raises:
        BackboneError: several models, a fold that is not there, or an unknown option.
    """
    for key in options:
        if key not in _OPTIONS:
            known = ", ".join(repr(name) for name in _OPTIONS)
            raise BackboneError(f"Option {key!r} of an nnU-Net folder is unknown; known are {known}.")
    models = _models(folder)
    if not models:
        raise BackboneError(f"{folder} is no trained model of nnU-Net v2.\n{LAYOUT}")
    if len(models) > 1:
        listed = "\n".join(f"  {model}" for model in models)
        raise BackboneError(f"{folder} holds several trained models; choose one of these folders:\n{listed}")
    checkpoint = options.get("checkpoint", CHECKPOINT)
    if not isinstance(checkpoint, str) or not checkpoint or Path(checkpoint).name != checkpoint:
        raise BackboneError(f"'checkpoint' must be the name of a file like {CHECKPOINT!r}, not {checkpoint!r}.")
    model = models[0]
    inside = folder.resolve().name[5:] if model != folder and model.resolve() == folder.resolve().parent else None
    return Place(model, _choose_folds(model, options.get("folds"), checkpoint, inside), checkpoint)


def _is_model(folder: Path) -> bool:
    return (folder / DATASET).is_file() and (folder / PLANS).is_file()


def _models(folder: Path) -> list[Path]:
    if _is_model(folder):
        return [folder]
    real = folder.resolve()
    if real.name.startswith("fold_") and _is_model(real.parent):
        return [real.parent]
    try:
        return sorted(below for below in folder.iterdir() if below.is_dir() and _is_model(below))
    except OSError:
        return []


def _choose_folds(model: Path, asked: Any, checkpoint: str, inside: str | None) -> tuple[str, ...]:
    """Args: inside is the fold that the user pointed at."""
    present = sorted(p.parent.name[5:] for p in model.glob(f"fold_*/{checkpoint}"))
    if not present:
        others = ", ".join(str(p.relative_to(model)) for p in sorted(model.glob("fold_*/*.pth"))) or "none"
        raise BackboneError(
            f"{model} has no fold with a {checkpoint}; weight files there: {others}. A training that was stopped early "
            f"leaves others: name one with the option 'checkpoint'.\n{LAYOUT}"
        )
    if asked is None:
        if inside is not None:
            asked = [inside]
        elif "all" in present or "0" in present:
            asked = ["all" if "all" in present else "0"]
        else:
            asked = present[:1]
    chosen = [str(fold) for fold in (asked if isinstance(asked, list) else [asked])]
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(present):
        known = ", ".join(present)
        raise BackboneError(f"{model}: 'folds' must be a list of different folds out of {known}, not {asked!r}.")
    return tuple(chosen)

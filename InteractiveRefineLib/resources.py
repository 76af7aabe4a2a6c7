"""Finds the files shipped with this library, wherever it was installed."""

from __future__ import annotations

from pathlib import Path

from .errors import BackboneError

#: Name of the folder below Resources/Backbones with the network that is shipped.
EMBEDDED_BACKBONE = "PhantomAbdomen"
#: The same of the one that is no network, and by which word it is asked for where a folder could be named.
STROKES_ONLY_BACKBONE = "StrokesOnly"
STROKES_ONLY = "none"


def embedded_backbone() -> Path:
    """Folder of the network that comes with this library, trained on phantoms.

    Raises:
        BackboneError: the folder was not installed.
    """
    return _shipped(EMBEDDED_BACKBONE)


def backbone_folder(asked: str | Path | None) -> Path:
    """The folder that a user means: of his own, "" or None for the shipped network, "none" for no network at all.

    Raises:
        BackboneError: a shipped folder was not installed.
    """
    if not asked:
        return embedded_backbone()
    return _shipped(STROKES_ONLY_BACKBONE) if asked == STROKES_ONLY else Path(asked).expanduser()


def _shipped(name: str) -> Path:
    package = Path(__file__).resolve().parent
    places = (
        package.parent / "Resources",  # a checkout, and Slicer, where CMake keeps both folders side by side
        package / "_resources",  # a wheel, which has nothing outside its package
    )
    for place in places:
        folder = place / "Backbones" / name
        if (folder / "backbone.json").is_file():
            return folder
    looked = " and ".join(str(place / "Backbones") for place in places)
    raise BackboneError(
        f"The embedded backbone {name} is missing; looked in {looked}. "
        "Install the package again, or name a backbone folder of your own."
    )

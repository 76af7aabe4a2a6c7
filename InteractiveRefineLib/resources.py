"""Finds the files shipped with this library, wherever it was installed."""

from __future__ import annotations

from pathlib import Path

from .errors import BackboneError

#: Name of the folder below Resources/Backbones with the network that is shipped.
EMBEDDED_BACKBONE = "PhantomAbdomen"


def embedded_backbone() -> Path:
    """Folder of the network that comes with this library, trained on phantoms.

    Raises:
        BackboneError: the folder was not installed.
    """
    package = Path(__file__).resolve().parent
    places = (
        package.parent / "Resources",  # a checkout, and Slicer, where CMake keeps both folders side by side
        package / "_resources",  # a wheel, which has nothing outside its package
    )
    for place in places:
        folder = place / "Backbones" / EMBEDDED_BACKBONE
        if (folder / "backbone.json").is_file():
            return folder
    looked = " and ".join(str(place / "Backbones") for place in places)
    raise BackboneError(
        f"The embedded backbone {EMBEDDED_BACKBONE} is missing; looked in {looked}. "
        "Install the package again, or name a backbone folder of your own."
    )

"""The way from Slicer's Python console to the library's batch over a folder of scans."""

import importlib.util

from slicer.i18n import tr as _


def hasBatch():
    """True when this version of the library can refine whole folders."""
    return importlib.util.find_spec("InteractiveRefineLib.batch") is not None


def refineFolder(*arguments, **options):
    """`InteractiveRefineLib.batch.refine_folder` with the same arguments and result; see there.

    Raises:
        NotImplementedError: this version has no batch; says what to do instead.
    """
    if not hasBatch():
        raise NotImplementedError(
            _(
                "This version of Interactive Refine has no batch over folders yet. Call refine() for each scan, or use "
                "the command line: interactive-refine refine --help"
            )
        )
    from InteractiveRefineLib.batch import refine_folder

    return refine_folder(*arguments, **options)

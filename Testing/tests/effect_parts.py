"""The effect's parts that need neither qt nor slicer, without the package around them, which needs both."""

import importlib
import sys
import types
from itertools import permutations, product
from pathlib import Path

import numpy as np

from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.orientation import AxisOrder

_FOLDER = Path(__file__).resolve().parents[2] / "InteractiveRefine" / "InteractiveRefineEffect"
_NAME = "effect_parts_without_qt"


def effect_part(name):
    """Module `name` of the effect's folder, in a package that only looks for files there."""
    if _NAME not in sys.modules:
        package = types.ModuleType(_NAME)
        package.__path__ = [str(_FOLDER)]
        sys.modules[_NAME] = package
    return importlib.import_module(f"{_NAME}.{name}")


def all_layouts(geometry):
    """The grid with its axes permuted and flipped in all 48 ways: every voxel stays where it is in the patient."""
    return [
        AxisOrder(order, flips).apply_geometry(geometry)
        for order in permutations(range(3))
        for flips in product((False, True), repeat=3)
    ]


def places(kji, geometry):
    """Set of RAS positions, in hundredths of a mm, of KJI indices (N, 3)."""
    return {tuple(row) for row in np.round(geometry.to_ras(kji) * 100).astype(int).tolist()}


def flat_places(indices, geometry):
    """`places` of flat indices (N,)."""
    return places(np.stack(np.unravel_index(indices, geometry.shape), axis=1), geometry)


def cube(n=5, spacing=(1.0, 1.0, 1.0)):
    """A grid of n voxels a side, I, J, K along R, A, S, its first voxel at the origin; `spacing` along I, J, K."""
    return Geometry((n, n, n), np.diag([*spacing, 1.0]))

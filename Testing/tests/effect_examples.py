"""The effect at work in an editor of the Slicer stand-in, and what it drew, read from the stroke book."""

import importlib
import sys
from pathlib import Path

import numpy as np

from InteractiveRefineLib.stroke_book import BACKGROUND, Kind

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "InteractiveRefine"
#: A voxel and its neighbors in a slice: what the brush of these tests marks, as steps along two axes.
PLUS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


class Refine:
    """The effect "Interactive Refine", active in the editor `editor` (see Testing/slicer_stand_in/editor_driver.py).

    editor.volumeNode has 16 slices of 20 rows of 24 voxels of 2 mm along S, A, R, the first voxel at the origin.
    """

    def __init__(self, editor):
        if str(MODULE_FOLDER) not in sys.path:
            sys.path.insert(0, str(MODULE_FOLDER))
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        importlib.import_module("InteractiveRefineEffect")
        self.editor = editor
        factory_effect = effects.qSlicerSegmentEditorScriptedEffect(None)
        factory_effect.setPythonSource(str(MODULE_FOLDER / "InteractiveRefineEffect" / "SegmentEditorEffect.py"))
        factory_effect.self().register()
        self.effect = editor.activate("InteractiveRefine")
        # A radius of 2.3 mm reaches the next voxel in a row (2 mm) and not the one across a corner (2.8 mm).
        self.set("BrushDiameterMm", 4.6)
        self.messages = []
        self.effect.tell = self.effect.drawing._tell = self.messages.append

    @property
    def strokes(self):
        """All strokes so far."""
        node = self.effect.controller.strokes
        return [] if node is None else list(node.book)

    def said(self):
        """(target, kind, source) of every stroke so far, as words."""
        return [
            ("background" if s.target == BACKGROUND else s.target, s.kind.value, s.source.name.lower())
            for s in self.strokes
        ]

    def voxels(self, number=-1):
        """KJI indices of a stroke, as a set of tuples."""
        return as_tuples(self.strokes[number].indices, self.effect.controller.strokes.book.geometry.shape)

    def set(self, name, value):
        """Set a parameter of the effect, as the panel does."""
        self.effect.scriptedEffect.setParameter(name, value)

    def ras(self, k, j, i):
        """RAS position in mm of a voxel's center, in the volume's own space."""
        return [2.0 * i, 2.0 * j, 2.0 * k]


def as_tuples(indices, shape):
    """Flat indices as a set of (k, j, i)."""
    return {tuple(int(n) for n in row) for row in np.stack(np.unravel_index(indices, shape), axis=1)}


__all__ = ["BACKGROUND", "Kind", "PLUS", "Refine", "as_tuples"]

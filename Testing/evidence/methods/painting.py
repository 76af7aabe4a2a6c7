"""What painting alone achieves: the strokes and nothing else."""

from __future__ import annotations

import numpy as np

from Testing.evidence.method import Drawn, Method


class _Painting:
    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        """The present labels; the runner paints the strokes."""
        return labels


METHODS = (Method("painting", lambda case: _Painting(), cites="manual correction"),)

"""The present segmentation between rounds: its labels, who decided them, and what stroked voxels were called before."""

from __future__ import annotations

import numpy as np

from .round_input import CalledLabels


class PresentLabels:
    """Labels of all voxels in the frame, and what must be remembered of them from round to round.

    Attributes:
        labels: (*frame shape) uint16; None before the network ran.
        manual: (*frame shape) bool, where the user or another program decided them, not the network nor a round.
        called: what every stroked voxel was called when it was stroked first.
    """

    def __init__(self) -> None:
        self.labels: np.ndarray | None = None
        self.manual: np.ndarray | None = None
        self.called = CalledLabels()
        self._given: np.ndarray | None = None  # set from outside and not yet compared with the network's
        self._given_manual: np.ndarray | None = None

    @property
    def newest(self) -> np.ndarray | None:
        """The labels as the user sees them: those set from outside, also before the network ran."""
        return self.labels if self._given is None else self._given

    def give(self, labels: np.ndarray, manual: np.ndarray | None) -> None:
        """Take labels from outside; `manual` replaces what is remembered, None: whatever differs is manual as well."""
        self._given, self._given_manual = labels, manual

    def settle(self, network_labels: np.ndarray) -> None:
        """Once the network ran: start from its labels, then let what was given from outside take their place."""
        if self.labels is None:
            self.labels = network_labels.copy()
            self.manual = np.zeros(self.labels.shape, dtype=bool)
        if self._given is None:
            return
        self.manual = self.manual | (self._given != self.labels) if self._given_manual is None else self._given_manual
        self.labels, self._given, self._given_manual = self._given, None, None

    def accept(self, labels: np.ndarray, called: CalledLabels) -> None:
        """Make a round's result the present labels; what the round changed is not the user's any more."""
        self.manual &= labels == self.labels
        self.labels, self.called = labels, called

"""The present segmentation between rounds: its labels, who decided them, and what stroked voxels were called before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .round_input import CalledLabels

if TYPE_CHECKING:
    from .image_state import ImageFrame


class PresentLabels:
    """Labels of all voxels in the frame, and what must be remembered of them from round to round.

    Args:
        frame: the image.

    Attributes:
        labels: (*frame shape) uint16; None before the network ran.
        manual: (*frame shape) bool, where the user or another program decided them, not the network nor a round.
        called: what every stroked voxel was called when it was stroked first.
    """

    def __init__(self, frame: ImageFrame) -> None:
        self._frame = frame
        self.labels: np.ndarray | None = None
        self.manual: np.ndarray | None = None
        self.called = CalledLabels()
        self._given: np.ndarray | None = None  # set from outside and not yet compared with the network's
        self._given_manual: np.ndarray | None = None
        self._user_labels: np.ndarray | None = None

    @property
    def newest(self) -> np.ndarray | None:
        """The labels as the user sees them: those set from outside, also before the network ran."""
        return self.labels if self._given is None else self._given

    @property
    def in_user_axes(self) -> np.ndarray:
        """The labels in the user's axes (K, J, I), read-only: turning or copying a whole scan takes long."""
        if self._user_labels is None:
            self._user_labels = read_only(self._frame.to_user(self.labels))
        return self._user_labels

    def give(self, labels: np.ndarray, manual: np.ndarray | None) -> None:
        """Take labels from outside; `manual` replaces what is remembered, None: whatever differs is manual as well."""
        self._given, self._given_manual = labels, manual

    def settle(self, network_labels: np.ndarray) -> None:
        """Once the network ran: start from its labels, then let what was given from outside take their place."""
        if self.labels is None:
            self.labels = network_labels  # never written to
            self.manual = np.zeros(self.labels.shape, dtype=bool)
        if self._given is None:
            return
        self.manual = self.manual | (self._given != self.labels) if self._given_manual is None else self._given_manual
        self.labels, self._given, self._given_manual = self._given, None, None
        self._user_labels = None

    def accept(self, labels: np.ndarray, user_labels: np.ndarray, called: CalledLabels, changed: np.ndarray) -> None:
        """Make a round's result the present labels; what the round changed is not the user's any more.

        Args:
            labels: in the frame; not to be written to any more.
            user_labels: the same in the user's axes, read-only.
            changed: (N, 3) voxels of the frame that the round changed.
        """
        self.manual[tuple(changed.T)] = False
        self.labels, self._user_labels, self.called = labels, user_labels, called


def read_only(array: np.ndarray) -> np.ndarray:
    """The same array; writing into it fails, so that several owners can share it."""
    array.flags.writeable = False
    return array

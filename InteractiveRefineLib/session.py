"""One image, one network, many rounds of strokes: the way through the library in one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .backbone.load import Backbone
from .class_table import ClassTable
from .constraints import Constraints
from .decoding.reach import Reach
from .device import Devices, choose_device
from .errors import InputError
from .image_state import ImageFrame, NetworkState
from .network_round import round_with_network
from .present import PresentLabels
from .progress import Progress, ShouldCancel, never_cancel, no_progress, raise_if_cancelled
from .report import round_result
from .resolution import ResolvedConstraints
from .result import RefinementResult
from .round_input import CalledLabels, RoundInput, round_input
from .scratch.elsewhere import SENTENCE, network_is_elsewhere
from .seeds import Seeds
from .segmentation import Segment, Segmentation
from .settings import RefineSettings
from .smaller import run_smaller
from .stages import Stages
from .strokes_round import round_with_strokes_alone
from .tuning.run import TuningOutcome, number_of_steps
from .volume import Volume


class RefineSession:
    """Refines the segmentation of one image, round after round.

    Example:
        >>> session = RefineSession(image, load_backbone("my-backbone"))  # doctest: +SKIP
        >>> constraints = Constraints(image.geometry)  # doctest: +SKIP
        >>> constraints.add_points([Point((-60, 20, 35), session.label_of("liver"))])  # doctest: +SKIP
        >>> result = session.refine(constraints)  # doctest: +SKIP

    Args:
        image: the scan.
        backbone: the pretrained network.
        settings: see `RefineSettings`; may be replaced between rounds.
        current: the segmentation as the user has it; None for the network's own. Only differences between the
            network's initial and refined answer are applied to it, so edits elsewhere survive.
        new_classes: names of classes the network does not know.

    Raises:
        InputError: the image cannot be used.
        BackboneError: the network does not fit the image.
    """

    def __init__(
        self,
        image: Volume,
        backbone: Backbone,
        settings: RefineSettings | None = None,
        current: Segmentation | None = None,
        new_classes: Sequence[str] = (),
    ) -> None:
        self.image, self.backbone = image, backbone
        self.settings = settings or RefineSettings()
        self._asked = choose_device(self.settings.device)
        self._devices = Devices.only(self._asked)
        self._frame = ImageFrame(image, backbone)
        self._table = ClassTable(backbone.config.classes, backbone.config.added)
        self._header: dict[str, str] = {}
        self._state: NetworkState | None = None
        self._layers = 0
        self._present = PresentLabels(self._frame)
        self._limits: list[str] = []  # sentences on what there was too little memory for
        self._warnings: list[str] = []
        for name in new_classes:  # first, so that they are known again in a segmentation from an earlier session
            self.add_class(name)
        if current is not None:
            self.set_current(current)

    def anew(
        self,
        settings: RefineSettings | None = None,
        current: Segmentation | None = None,
        new_classes: Sequence[str] = (),
    ) -> RefineSession:
        """A session on this image and network as if nothing had been done yet, except that the network ran already."""
        other = RefineSession(self.image, self.backbone, settings, current, new_classes)
        if other._asked == self._asked:  # also what there is too little memory for on it is known already
            other._devices, other._state, other._layers = self._devices, self._state, self._layers
            other._limits, other._warnings = list(self._limits), [*self._limits, *other._warnings]
        return other

    @property
    def classes(self) -> list[Segment]:
        """All classes except background, by label: the network's, then those it does not know."""
        return list(self._table.segments)

    def label_of(self, name: str) -> int:
        """Label of the class named `name`; InputError when there is none."""
        return self._table.label_of(name)

    def add_class(self, name: str) -> int:
        """Add a class the network does not know; returns its label."""
        return self._table.add(name)

    def set_current(self, current: Segmentation, manual: np.ndarray | None = None) -> None:
        """Take over the segmentation as the user has it now, possibly edited by hand or made by another program.

        Args:
            current: what differs from the session's own segmentation counts as edited by hand, and is held harder.
            manual: (K, J, I) bool, exactly the voxels edited by hand, as `manual` of an earlier session told them.
        """
        labels, warnings = self._table.adopt(current, self.image.geometry)
        if manual is not None and manual.shape != self.image.geometry.shape:
            raise InputError(f"`manual` has shape {manual.shape}, the image {self.image.geometry.shape} (K, J, I).")
        self._header = dict(current.header)
        self._warnings += warnings
        self._present.give(
            np.ascontiguousarray(self._frame.order.apply(labels)),
            None if manual is None else np.array(self._frame.order.apply(manual), dtype=bool, order="C"),
        )

    @property
    def manual(self) -> np.ndarray | None:
        """(K, J, I) bool, voxels that the user or another program decided; None before the network ran."""
        return None if self._present.manual is None else self._frame.to_user(self._present.manual)

    @property
    def called(self) -> tuple[np.ndarray, np.ndarray]:
        """What stroked voxels were called: flat indices (N,) int64 into (K, J, I), ascending, and labels (N,) int64."""
        voxels, labels = self._present.called.items(self._frame.shape)
        flat = self._frame.user_indices(voxels, self.image.geometry.shape)
        order = np.argsort(flat)
        return flat[order], labels[order]

    def remember_called(self, indices: np.ndarray, labels: np.ndarray) -> None:
        """Take over `called` of an earlier session instead of one's own: its strokes go on to mean what they meant."""
        self._present.called = CalledLabels()
        voxels = self._frame.voxels(np.asarray(indices, dtype=np.int64), self.image.geometry.shape)
        self._present.called.of(np.ravel_multi_index(tuple(voxels.T), self._frame.shape), np.asarray(labels))

    def segmentation(self) -> Segmentation:
        """The present segmentation on the image's grid, with names, colors, IDs and tags.

        Raises:
            InputError: there is none yet.
        """
        labels = self._present.newest
        if labels is None:
            raise InputError("Nothing is segmented yet: call predict() or refine() first, or give `current`.")
        return Segmentation(self._frame.to_user(labels), self.image.geometry, self.classes, header=dict(self._header))

    def predict(self, *, progress: Progress = no_progress, should_cancel: ShouldCancel = never_cancel) -> np.ndarray:
        """Run the network on the whole image; returns a copy of the present labels (K, J, I) uint16.

        Without a `current` segmentation they are the network's own.

        Raises:
            Cancelled, OutOfMemoryError, BackboneError.
        """
        run_smaller(lambda: self._prepare(progress, should_cancel), self.backbone, self._devices, self._use)
        return self._present.in_user_axes.copy()

    def refine(
        self, constraints: Constraints, *, progress: Progress = no_progress, should_cancel: ShouldCancel = never_cancel
    ) -> RefinementResult:
        """Correct the segmentation so that every constraint holds and nothing else changes without reason.

        Args:
            constraints: all rounds so far, not only the new strokes.

        Raises:
            InputError: constraints that cannot be used; nothing was changed.
            Cancelled: the previous segmentation is kept.
            OutOfMemoryError: likewise.
        """
        return run_smaller(
            lambda: self._refine(constraints, progress, should_cancel), self.backbone, self._devices, self._use
        )

    def _use(self, backbone: Backbone, devices: Devices, sentence: str) -> None:
        """From now on this form of the network and these devices; the sentence tells the user why."""
        self._state, self.backbone, self._devices = None, backbone, devices
        self._limits.append(sentence)
        self._warnings.append(sentence)

    def _refine(self, constraints: Constraints, progress: Progress, should_cancel: ShouldCancel) -> RefinementResult:
        # How many steps the network takes is known once it runs, which it does for the first round only.
        stages = Stages(progress, {"growing": 1, "tuning": number_of_steps(self.settings), "decoding": 2})
        with stages("network") as progress:
            state = self._prepare(progress, should_cancel)
        with stages("constraints"):
            resolved = constraints.resolve(self._present.in_user_axes, len(self._table), self._table.name_of)
            called = self._present.called.copy()
            strokes = round_input(
                resolved, self.image.geometry.shape, state, self._present.labels, called,
                set(constraints.locked), len(self._table),
            )  # fmt: skip
        warnings = [*self._warnings, *resolved.warnings, *state.notes]
        if not len(strokes):
            warnings.append("There are no strokes, points or boxes: nothing was changed.")
            stages.finish()
            none, seeds = np.empty((0, 3), dtype=np.int64), Seeds(strokes.voxels, strokes.wanted)
            return self._result(self._present.labels, none, resolved, strokes, seeds, None, [], warnings, stages)

        if self._table.n_known == 1 or self._is_elsewhere(state, strokes, warnings, should_cancel):  # no network helps
            seeds, outcome, reaches = Seeds(strokes.voxels, strokes.wanted), None, []
            with stages("decoding") as progress:
                labels = round_with_strokes_alone(
                    state, self._present, strokes, constraints.locked, self.settings, progress, should_cancel
                )
        else:
            labels, seeds, outcome, reaches, notes = round_with_network(
                state, self._present, strokes, set(constraints.locked),
                self._table, self.settings, stages, should_cancel,
            )  # fmt: skip
            warnings += notes
        labels[tuple(strokes.voxels.T)] = strokes.wanted
        raise_if_cancelled(should_cancel)

        changed = np.flatnonzero(labels != self._present.labels)  # much faster than nonzero of three axes
        changed = np.stack(np.unravel_index(changed, labels.shape), axis=1)
        result = self._result(labels, changed, resolved, strokes, seeds, outcome, reaches, warnings, stages)
        stages.finish()
        self._present.accept(labels, result.labels, called, changed)
        self._warnings = []
        return result

    def _is_elsewhere(
        self, state: NetworkState, strokes: RoundInput, warnings: list[str], should_cancel: ShouldCancel
    ) -> bool:
        """Whether the network's answer must be left out in this image; the user is told."""
        if self.settings.update != "protected" or self.settings.reach != "automatic":
            return False
        found = network_is_elsewhere(state, strokes, self._table.n_known, self.settings.seed, should_cancel)
        warnings += [SENTENCE] if found else []
        return found

    def _prepare(self, progress: Progress, should_cancel: ShouldCancel) -> NetworkState:
        """Run the network unless it ran before, and make what was set from outside the present segmentation."""
        layers = self.settings.layers_for(self.backbone.config.dimensions == 2 and min(self._frame.shape) == 1)
        if self._state is None or self._layers != layers:
            self._state = NetworkState(
                self._frame, self.backbone, layers, self._devices.fields, run_on=self._devices.network,
                or_fewer=self.settings.layers is None, cache_bytes=int(self.settings.cache_gb * 2**30),
                progress=progress, should_cancel=should_cancel,
            )  # fmt: skip
            self._layers = layers
        self._present.settle(self._state.labels)
        return self._state

    def _result(
        self,
        labels: np.ndarray,
        changed: np.ndarray,
        resolved: ResolvedConstraints,
        strokes: RoundInput,
        seeds: Seeds,
        outcome: TuningOutcome | None,
        reaches: list[Reach],
        warnings: list[str],
        stages: Stages,
    ) -> RefinementResult:
        return round_result(
            self._frame, self._present, labels, changed, self.classes, strokes, seeds, resolved,
            reaches=reaches, loss_curve=list(outcome.loss_curve) if outcome else [], warnings=warnings,
            timings=dict(stages.seconds), seed=self.settings.seed,
        )  # fmt: skip

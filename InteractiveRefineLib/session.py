"""One image, one network, many rounds of strokes: the way through the library in one place."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from .backbone.load import Backbone
from .class_table import ClassTable
from .constraints import Constraints
from .decoding.accept import accept_changes, allowed_pairs
from .decoding.blend import BlendedLogits, slabs
from .decoding.decode import Decoder, DecodingInput
from .decoding.reach import Reach, decide_reach
from .device import choose_device, out_of_memory_as_error
from .errors import InputError
from .image_state import ImageFrame, NetworkState
from .progress import Progress, ShouldCancel, never_cancel, no_progress, raise_if_cancelled
from .report import changes_between, stroke_codes, versions
from .geometry import box_of
from .result import RefinementResult
from .round_input import CalledLabels, RoundInput, round_input
from .seeds import make_seeds
from .segmentation import Segment, Segmentation
from .settings import RefineSettings
from .tuning.run import TuningOutcome, tune
from .tuning.rules import UPDATE_RULES
from .tuning.setup import tuning_problem
from .volume import Volume


class RefineSession:
    """Refines the segmentation of one image, round after round.

    Example:
        >>> session = RefineSession(image, load_backbone("my-backbone"))  # doctest: +SKIP
        >>> session.predict()  # doctest: +SKIP
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
        self._device = choose_device(self.settings.device)
        self._frame = ImageFrame(image, backbone)
        self._table = ClassTable(backbone.config.classes)
        self._header: dict[str, str] = {}
        self._state: NetworkState | None = None
        self._layers = 0
        self._called = CalledLabels()
        self._labels: np.ndarray | None = None  # present labels, in the frame
        self._manual: np.ndarray | None = None  # where the user or another program decided them
        self._given: np.ndarray | None = None  # labels set from outside and not yet compared with the network's
        self._warnings: list[str] = []
        if current is not None:
            self.set_current(current)
        for name in new_classes:
            self.add_class(name)

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

    def set_current(self, current: Segmentation) -> None:
        """Take over the segmentation as the user has it now, possibly edited by hand or made by another program."""
        labels, warnings = self._table.adopt(current, self.image.geometry)
        self._header = dict(current.header)
        self._warnings += warnings
        self._given = np.ascontiguousarray(self._frame.order.apply(labels))

    def segmentation(self) -> Segmentation:
        """The present segmentation on the image's grid, with names, colors, IDs and tags."""
        labels = self._user(self._labels if self._given is None else self._given)
        return Segmentation(labels, self.image.geometry, self.classes, header=dict(self._header))

    def predict(
        self, *, progress: Progress = no_progress, should_cancel: ShouldCancel = never_cancel
    ) -> np.ndarray:
        """Run the network on the whole image; returns the present labels (K, J, I) uint16.

        Without a `current` segmentation they are the network's own.

        Raises:
            Cancelled, OutOfMemoryError, BackboneError.
        """
        with out_of_memory_as_error():
            self._prepare(progress, should_cancel)
        return self._user(self._labels)

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
        with out_of_memory_as_error():
            return self._refine(constraints, progress, should_cancel)

    def _refine(self, constraints: Constraints, progress: Progress, should_cancel: ShouldCancel) -> RefinementResult:
        timer = _Timer()
        steps = self._tuning_steps()
        with timer("network"):
            state = self._prepare(progress, should_cancel, extra_steps=steps + 3)
        with timer("constraints"):
            user_labels = self._user(self._labels)
            resolved = constraints.resolve(user_labels, len(self._table), self._table.name_of)
            called = self._called.copy()
            strokes = round_input(
                resolved, self.image.geometry.shape, state, self._labels, called, set(constraints.locked)
            )
        warnings = [*self._warnings, *resolved.warnings, *state.notes]
        if not len(strokes):
            warnings.append("There are no strokes, points or boxes: nothing was changed.")
            return self._result(self._labels, strokes, strokes.voxels, strokes.wanted, 0, [], [], warnings, timer)

        with timer("growing"):
            progress(0, steps + 3, "Growing the strokes")
            locked = np.isin(self._labels, sorted(constraints.locked))
            seeds = make_seeds(
                strokes, self._frame, locked, self._table.n_known, self.settings, self._table.name_of, should_cancel
            )
            warnings += seeds.warnings
        with timer("tuning"):
            outcome, tuned = self._tune(state, strokes, seeds, _shifted(progress, 1, steps + 3), should_cancel)
            warnings += outcome.notes if outcome else []
        with timer("decoding"):
            progress(steps + 1, steps + 3, "Decoding")
            logits = BlendedLogits(state.grid, state.logits, tuned, len(self._table))
            if self.settings.update == "protected":
                labels, reaches = self._decode(state, strokes, seeds, logits, constraints, should_cancel)
            else:
                labels, reaches = self._unprotected(logits, constraints, should_cancel), []
            labels[tuple(strokes.voxels.T)] = strokes.wanted
        raise_if_cancelled(should_cancel)
        progress(steps + 3, steps + 3, "Done")

        violated = resolved.count_violations(self._user(labels))
        result = self._result(
            labels, strokes, seeds.voxels, seeds.labels, violated, reaches,
            outcome.loss_curve if outcome else [], warnings, timer,
        )  # fmt: skip
        self._manual &= labels == self._labels
        self._labels, self._called = labels, called
        self._warnings = []
        return result

    def _prepare(self, progress: Progress, should_cancel: ShouldCancel, extra_steps: int = 0) -> NetworkState:
        if self._state is None or self._layers != self.settings.layers:

            def stretched(step: int, total: int, message: str) -> None:
                progress(step, total + extra_steps, message)

            self._state = NetworkState(
                self._frame, self.backbone, self.settings.layers, self._device,
                progress=stretched, should_cancel=should_cancel,
            )  # fmt: skip
            self._layers = self.settings.layers
        if self._labels is None:
            self._labels = self._state.labels.copy()
            self._manual = np.zeros(self._labels.shape, dtype=bool)
        if self._given is not None:
            self._manual |= self._given != self._labels
            self._labels, self._given = self._given, None
        return self._state

    def _tuning_steps(self) -> int:
        default = UPDATE_RULES[self.settings.update].steps
        return default if self.settings.steps is None else self.settings.steps

    def _tune(self, state, strokes: RoundInput, seeds, progress, should_cancel):
        """Tune on the raw strokes, or on the grown ones where the user asked for it; None without known classes."""
        voxels, wanted = strokes.voxels, strokes.wanted
        if self.settings.grow == "all":
            voxels, wanted = seeds.voxels, seeds.labels
        known = wanted < self._table.n_known
        if not known.any():
            return None, state.logits
        problem = tuning_problem(state, self._labels, voxels[known], wanted[known], self.settings.seed)
        outcome: TuningOutcome = tune(problem, self.settings, progress=progress, should_cancel=should_cancel)
        tuned = state.part.everywhere(outcome.values).movedim(0, -1)
        return outcome, state.to_classes(tuned).movedim(-1, 0).contiguous()

    def _decode(self, state, strokes, seeds, logits, constraints, should_cancel) -> tuple[np.ndarray, list[Reach]]:
        reaches = self._reaches(state, strokes, logits)
        task = DecodingInput(
            labels=self._labels,
            manual=self._manual,
            strokes=strokes.voxels,
            stroke_labels=strokes.wanted,
            seeds=seeds.voxels,
            seed_labels=seeds.labels,
            stretch=state.doubt.stretch(len(self._table)),
            reaches=reaches,
            spacing=self._frame.spacing,
            lengths=state.lengths,
            locked=frozenset(constraints.locked),
        )
        with torch.no_grad():
            decoder = Decoder(task, logits, state.edges(self._labels, strokes.voxels), state.grid, self._device)
            proposed = decoder.blend(should_cancel)
            decoder.walk(proposed, should_cancel)
        labels = self._labels.copy()
        pairs = allowed_pairs(strokes.called, strokes.wanted)
        labels[decoder.box] = accept_changes(self._labels[decoder.box], proposed, pairs, constraints.locked)
        return labels, reaches

    def _reaches(self, state: NetworkState, strokes: RoundInput, logits: BlendedLogits) -> list[Reach]:
        """One decision per known class with strokes; background has no structure that could be missing."""
        tuned = logits.tuned_on_grid()
        nearest = np.round(state.grid.positions(strokes.voxels)).astype(np.int64)
        found = []
        for label in np.unique(strokes.wanted).tolist():
            if 0 < label < self._table.n_known:
                own = nearest[strokes.wanted == label]
                found.append(decide_reach(tuned, label, own, self.settings.reach, state.doubt))
        return found

    def _unprotected(self, logits: BlendedLogits, constraints: Constraints, should_cancel) -> np.ndarray:
        """The tuned network's answer everywhere, as the paper has it; only locks are kept."""
        labels = np.empty_like(self._labels)
        with torch.no_grad():
            for slab in slabs(tuple(slice(0, n) for n in labels.shape)):
                raise_if_cancelled(should_cancel)
                labels[slab] = logits.tuned_labels(slab)
        locked = np.isin(labels, sorted(constraints.locked)) | np.isin(self._labels, sorted(constraints.locked))
        return np.where(locked, self._labels, labels)

    def _result(
        self, labels, strokes, seed_voxels, seed_labels, violated, reaches, curve, warnings, timer
    ) -> RefinementResult:
        before, after = self._user(self._labels), self._user(labels)
        shape = labels.shape
        return RefinementResult(
            labels=after,
            previous=before,
            changed_box=box_of(after != before),
            changes=changes_between(
                before, after, self.classes, self.image.geometry.voxel_volume_ml, {r.label: r.name for r in reaches},
                set(strokes.wanted.tolist()) | set(strokes.called.tolist()),
            ),
            strokes=self._user(stroke_codes(strokes.voxels, strokes.wanted, shape)),
            grown=self._user(stroke_codes(seed_voxels, seed_labels, shape)),
            violated_strokes=violated,
            loss_curve=list(curve),
            warnings=list(dict.fromkeys(warnings)),
            timings=dict(timer.seconds),
            seed=self.settings.seed,
            versions=versions(),
        )  # fmt: skip

    def _user(self, field: np.ndarray) -> np.ndarray:
        """A field of the frame in the user's axes, contiguous."""
        return np.ascontiguousarray(self._frame.order.undo(field))


def _shifted(progress: Progress, offset: int, total: int) -> Progress:
    def report(step: int, _: int, message: str) -> None:
        progress(step + offset, total, message)

    return report


class _Timer:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str):
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

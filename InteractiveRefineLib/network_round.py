"""One round of a network that knows some class: grow the strokes, tune the last layers, decode."""

from __future__ import annotations

import numpy as np
import torch

from .class_table import ClassTable
from .decoding.decode import unprotected_labels
from .decoding.reach import Reach
from .decoding.setup import decoder_of_round, region_that_matters
from .decoding.weight import UNTAUGHT_SENTENCE, belief_in
from .image_state import NetworkState
from .present import PresentLabels
from .progress import Progress, ShouldCancel
from .resolution import is_any_of
from .round_input import RoundInput
from .seeds import Seeds, make_seeds
from .settings import RefineSettings
from .stages import Stages
from .tuning.final import tuned_logits
from .tuning.missing_class import first_strokes_of_missing, without_unrecognized
from .tuning.new_class import learn_new_classes
from .tuning.run import TuningOutcome, tune
from .tuning.setup import tuning_problem


def round_with_network(
    state: NetworkState,
    present: PresentLabels,
    strokes: RoundInput,
    locked: set[int],
    table: ClassTable,
    settings: RefineSettings,
    stages: Stages,
    should_cancel: ShouldCancel,
) -> tuple[np.ndarray, Seeds, TuningOutcome | None, list[Reach], list[str]]:
    """Labels (*frame shape) with strokes not yet painted, what grew, what was tuned, how far, and sentences.

    Args:
        present: labels before, and who decided them.
        strokes: of all rounds so far, at least one.
        locked: labels that neither gain nor lose a voxel.
        table: the classes of the session.

    Raises:
        Cancelled, OutOfMemoryError.
    """
    with stages("growing") as progress:
        progress(0, 1, "Growing the strokes")
        blocked = is_any_of(present.labels, locked)
        missing = first_strokes_of_missing(state, present, strokes, table.n_known)
        seeds = make_seeds(
            strokes, state.frame, blocked, table.n_known, settings, table.name_of, should_cancel,
            missing, state.lengths.blend_sigma,
        )  # fmt: skip
        warnings = list(seeds.warnings)
    with stages("tuning") as progress:
        seeds, learned, notes = learn_new_classes(state, present.labels, strokes.wanted, seeds, table, settings)
        warnings += notes
        outcome, belief, tuned = _tuned(
            state, present, strokes, seeds, table.n_known, settings, progress, should_cancel
        )
        warnings += outcome.notes if outcome else []
        if settings.update == "protected":
            seeds = without_unrecognized(seeds, len(strokes), missing, tuned, state)
    with stages("decoding") as progress:
        progress(0, 2, "Decoding, blending")
        if settings.update != "protected":
            labels = unprotected_labels(state.grid, tuned, present.labels, locked, should_cancel)
            return labels, seeds, outcome, [], warnings
        warnings += [UNTAUGHT_SENTENCE] if belief == 0 else []
        with torch.no_grad():
            decoder, reaches = decoder_of_round(
                state, present, strokes, seeds, tuned,
                reach=settings.reach, n_classes=len(table), locked=locked, learned=learned, belief=belief,
            )  # fmt: skip
            decoder.blend(should_cancel)
            progress(1, 2, "Decoding, random walk")
            decoder.walk(should_cancel)
            labels = decoder.labels
            if settings.reach == "automatic":
                labels = state.outlines.followed(
                    labels, state.labels, present, strokes, locked, settings.seed, should_cancel, belief
                )
    return labels, seeds, outcome, reaches, warnings


def _tuned(
    state: NetworkState,
    present: PresentLabels,
    strokes: RoundInput,
    seeds: Seeds,
    n_known: int,
    settings: RefineSettings,
    progress: Progress,
    should_cancel: ShouldCancel,
) -> tuple[TuningOutcome | None, float, torch.Tensor]:
    """Tune on the raw strokes, or on the grown ones where the user asked for it; None without known classes.

    Returns:
        what was tuned, how far it is believed beyond the strokes, and its logits (C, *grid shape).
    """
    voxels, wanted = strokes.voxels, strokes.wanted
    if settings.grow == "all":
        voxels, wanted = seeds.voxels, seeds.labels
    known = wanted < n_known
    if not known.any():
        return None, 1.0, state.logits
    problem = tuning_problem(state, present.labels, voxels[known], wanted[known], settings.seed)
    outcome = tune(problem, settings, progress=progress, should_cancel=should_cancel)
    belief = belief_in(outcome.wrong_share)
    region = region_that_matters(state, present, strokes, seeds, settings, belief)
    return outcome, belief, tuned_logits(state, outcome.values, region)

"""What Refine would grow from the strokes, computed on the little of the image that it can reach.

No qt, no slicer: only numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from InteractiveRefineLib.constraints import Constraints, InputRecord
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.leak_guard import Leak
from InteractiveRefineLib.noise import estimate_noise_near
from InteractiveRefineLib.progress import ShouldCancel, never_cancel
from InteractiveRefineLib.resolution import ResolvedConstraints
from InteractiveRefineLib.seeds import grow_strokes, which_grow
from InteractiveRefineLib.segmentation import BACKGROUND_STROKE
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.stroke_book import BACKGROUND, Kind, StrokeBook

from .growing_canvas import Canvas


@dataclass(frozen=True)
class Targets:
    """The segments in question, by ID.

    Attributes:
        known: those that stand for a class of the network.
        new: the others.
        locked: those (of both) that must neither gain nor lose a voxel.
    """

    known: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    locked: frozenset[str] = frozenset()

    def growing(self, grow: str) -> set[str]:
        """Targets whose strokes grow under `RefineSettings.grow`, unless they are locked."""
        return {"all": {BACKGROUND, *self.known, *self.new}, "new": set(self.new), "none": set()}[grow]


@dataclass(frozen=True, eq=False)
class Grown:
    """What grew.

    Attributes:
        voxels: target -> ascending flat indices (C order of K, J, I) int64 without the strokes; every target that took
            part has an entry.
        threshold: T that was used, in units of the image; None when nothing took part.
        leaks: target -> RAS position (3,) in mm of the image where its growing was stopped.
    """

    voxels: dict[str, np.ndarray] = field(default_factory=dict)
    threshold: float | None = None
    leaks: dict[str, np.ndarray] = field(default_factory=dict)


class NoiseMemory:
    """Remembers the noise near the strokes: it does not change while the user moves a slider."""

    def __init__(self) -> None:
        self._known: tuple[bytes, float] | None = None

    def near(self, channels: np.ndarray, indices: np.ndarray, spacing: tuple[float, float, float], image: str) -> float:
        """`estimate_noise_near` at flat indices (N,); `image` names the content of `channels` (C, K, J, I)."""
        key = image.encode() + indices.tobytes()
        if self._known is None or self._known[0] != key:
            kji = np.stack(np.unravel_index(indices, channels.shape[1:]), axis=1)
            self._known = key, estimate_noise_near(channels, kji, spacing)
        return self._known[1]


def growFromStrokes(
    channels: np.ndarray,
    book: StrokeBook,
    targets: Targets,
    settings: RefineSettings,
    *,
    lockedMask: np.ndarray | None = None,
    noise: NoiseMemory | None = None,
    imageName: str = "",
    shouldCancel: ShouldCancel = never_cancel,
) -> Grown:
    """Grow the strokes as Refine does before it asks the network.

    Only "not this class" strokes differ: the network turns them into its best other class, which may then grow as well;
    here they only keep others out.

    Args:
        channels: (C, K, J, I) intensities.
        book: the strokes, on the same grid.
        targets: a target of the book that is in none of them does not take part.
        settings: threshold, distance, rule and which classes grow.
        lockedMask: (K, J, I) bool, voxels of locked segments.
        noise, imageName: see `NoiseMemory`.
        shouldCancel: asked before every step.

    Raises:
        InputError: all strokes lie on what is locked.
        Cancelled: `shouldCancel()` returned True.
    """
    geometry = book.geometry
    growing = targets.growing(settings.grow)
    seeds = [s.indices for s in book if s.kind is Kind.CLASS and s.target in growing and len(s.indices)]
    if not seeds:
        return Grown()
    # As the library rounds it, so that both find the same voxels within R.
    spacing = tuple(float(f"{s:.5g}") for s in geometry.spacing_kji)
    canvas = Canvas(np.unique(np.concatenate(seeds)), geometry.shape, spacing, settings.max_distance_mm)
    names = [BACKGROUND, *targets.known, *targets.new]
    resolved = _resolve(book, canvas, names, targets.locked, lockedMask)

    n_known = 1 + len(targets.known)
    chosen = which_grow(resolved.wanted, n_known, settings)
    if not chosen.any():
        return Grown()
    flat = np.concatenate([resolved.indices, resolved.forbidden_indices])
    wanted = np.concatenate([resolved.wanted, np.zeros(len(resolved.forbidden_indices))]).astype(np.int64)
    chosen = np.concatenate([chosen, np.zeros(len(resolved.forbidden_indices), dtype=bool)])
    voxels = np.stack(np.unravel_index(flat, canvas.shape), axis=1)
    if settings.threshold is None:
        near = np.sort(canvas.image_indices(voxels[chosen]))
        level = (noise or NoiseMemory()).near(channels, near, spacing, imageName)
        settings = replace(settings, threshold=settings.threshold_noise * level)
    blocked = canvas.outside | resolved.locked_mask
    result, threshold = grow_strokes(
        canvas.image(channels), spacing, voxels, wanted, chosen, blocked, settings, shouldCancel
    )
    result.labels[tuple(voxels.T)] = 0
    return Grown(
        {names[label]: _grown(result.labels, label, canvas) for label in np.unique(wanted[chosen]).tolist()},
        threshold,
        {names[label % BACKGROUND_STROKE]: _place(leak, canvas, geometry) for label, leak in result.leaks.items()},
    )


def _resolve(
    book: StrokeBook, canvas: Canvas, names: list[str], locked: frozenset[str], lockedMask: np.ndarray | None
) -> ResolvedConstraints:
    """Weigh the strokes against each other on the canvas; a target's label is its place in `names`."""
    label_of = {name: label for label, name in enumerate(names)}
    locks = [label_of[name] for name in sorted(locked)]
    rounds = []
    for strokes in book.rounds:
        rounds.append([])
        for stroke in strokes:
            if stroke.target in label_of:
                own = canvas.flat_voxels(stroke.indices)
                labels = np.full(len(own), label_of[stroke.target], dtype=np.int32)
                rounds[-1].append(InputRecord(own, labels, stroke.kind is Kind.NOT, stroke.source))
    constraints = Constraints.from_records(Geometry(canvas.shape, np.eye(4)), rounds, locks)
    current = np.zeros(canvas.shape, dtype=np.uint16)
    if locks and lockedMask is not None:
        current[canvas.image(lockedMask[None])[0]] = locks[0]  # which of the locked ones makes no difference here
    return constraints.resolve(current, len(names))


def _grown(labels: np.ndarray, label: int, canvas: Canvas) -> np.ndarray:
    coded = BACKGROUND_STROKE if label == 0 else label
    return np.sort(canvas.image_indices(np.stack(np.nonzero(labels == coded), axis=1)))


def _place(leak: Leak, canvas: Canvas, geometry: Geometry) -> np.ndarray:
    kji = np.unravel_index(canvas.image_indices(np.array([leak.kji])), geometry.shape)
    return geometry.to_ras(np.stack(kji, axis=1))[0]

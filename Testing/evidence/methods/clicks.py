"""NuClick-like and DEXTR-like: networks that were trained to see guidance segment one object after the other.

Only for the nuclei, for this is what we can train: a small 2-D network each (`guided_nets`), in about a minute, on 22
pictures, where the originals learned from thousands and with far larger networks.

* **NuClick** (Jahanifar et al., Med Image Anal 2020) sees a patch around a click or squiggle, with a map of the
  squiggle and one of what to exclude. The original separates nuclei, so other nuclei's clicks are excluded. Here only
  "nucleus" and "background" are asked for: strokes of the other label are excluded. The original cannot take anything
  away; this one also learned to segment the gap that a background stroke lies in, which then becomes background.
* **DEXTR** (Maninis et al., CVPR 2018) sees a crop around an object's four extreme points. The robot's strokes have
  none, so for each stroke we read them off the truth: of the nucleus under it, or of the false part under a background
  stroke. This is more than any other method is told.

What is segmented is joined to the labels, the newest stroke last. As with NuClick's own post-processing, only the part
that contains the stroke counts, and its holes are filled.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from InteractiveRefineLib.image_io import read_volume
from Testing.evidence.case import Case
from Testing.evidence.guided_nets import (
    SIDE,
    around,
    extreme_points,
    extreme_window,
    guidance,
    heat_map,
    scaled,
)
from Testing.evidence.method import Drawn, Method
from Testing.evidence.networks import Networks
from Testing.real_data import require_data

#: False parts count for extreme points where they are wider than twice as many pixels.
THICK = 2
_TOUCHING = np.ones((3, 3), dtype=bool)


@lru_cache(maxsize=2)
def _network(folder: Path) -> torch.nn.Module:
    return torch.jit.load(str(folder / "model.ts")).eval()


def strokes_of(drawn: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The single strokes of one round's map (rows, columns), as label and mask; background first."""
    found = []
    for label in (0, 1):
        parts, count = ndimage.label(drawn == label, _TOUCHING)
        found += [(label, parts == n + 1) for n in range(count)]
    return found


class NuClickLike:
    """At one picture; every round segments all strokes again, for each may exclude something from the others.

    Args:
        image: (3, rows, columns).
        start: (rows, columns) labels before the first stroke.
        network: from (1, 5, SIDE, SIDE) to logits of "not the object" and "the object".
        side: pixels of the patch around a stroke at least; it grows with the stroke.
    """

    def __init__(self, image: np.ndarray, start: np.ndarray, network: torch.nn.Module, side: int = SIDE) -> None:
        self._image, self._start, self._network, self._side = scaled(image), start, network, side

    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        """The start with the objects of all strokes."""
        answer = self._start.copy()
        for one in drawn.rounds:
            for label, stroke in strokes_of(one[0]):
                against = (drawn.all[0] >= 0) & (drawn.all[0] != label)
                answer[self._object(stroke, against)] = label
        return answer[None]

    def _object(self, stroke: np.ndarray, against: np.ndarray) -> np.ndarray:
        pixels = np.argwhere(stroke)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        side = max(self._side, 2 * int((high - low).max()))
        rows, columns = around((low + high) / 2, side, stroke.shape)
        if side > SIDE:  # sampled more coarsely than by the pixel, thin strokes would be missed
            stroke, against = (ndimage.binary_dilation(m, _TOUCHING, side // SIDE) for m in (stroke, against))
        box = np.ix_(rows, columns)
        maps = [guidance(stroke[box]), guidance(against[box])]
        mask = _segmented(self._network, self._image[(slice(None), *box)], maps, stroke[box])
        return _pasted(mask, rows, columns, stroke.shape)


class DextrLike:
    """At one picture.

    Args:
        image: (3, rows, columns).
        instances: (rows, columns) the true nuclei, for extreme points.
        network: from (1, 4, SIDE, SIDE) to logits of "not the object" and "the object".
    """

    def __init__(self, image: np.ndarray, instances: np.ndarray, network: torch.nn.Module) -> None:
        self._image, self._instances, self._network = scaled(image), instances, network

    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        """The present labels with the objects of this round's strokes."""
        answer = labels[0].copy()
        against = drawn.rounds[-1][0] == 0
        wrong = (answer > 0) & (self._instances == 0)
        # Without thin rims, which join false parts all over the picture into one that nobody would call an object.
        thick = ndimage.binary_opening(wrong, _TOUCHING, iterations=THICK)
        false, _ = ndimage.label(thick | against, _TOUCHING)
        for label, stroke in strokes_of(drawn.rounds[-1][0]):
            numbers = self._instances if label else false
            under = np.bincount(numbers[stroke])
            under[0] = 0  # the true background is no object
            if not under.any():
                continue
            meant = numbers == int(np.argmax(under))
            answer[self._object(extreme_points(meant), stroke & meant)] = label
        return answer[None]

    def _object(self, points: np.ndarray, inside: np.ndarray) -> np.ndarray:
        rows, columns = extreme_window(points, inside.shape)
        box = np.ix_(rows, columns)
        mask = _segmented(
            self._network, self._image[(slice(None), *box)], [heat_map(points, rows, columns)], inside[box]
        )
        return _pasted(mask, rows, columns, inside.shape)


def _segmented(network: torch.nn.Module, image: np.ndarray, maps: list[np.ndarray], stroke: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) bool: the parts of the network's object that the stroke lies in, without holes."""
    inputs = torch.from_numpy(np.concatenate([image, maps]).astype(np.float32))[None]
    with torch.no_grad():
        logits = network(inputs)[0].numpy()
    parts, _ = ndimage.label(logits[1] > logits[0], _TOUCHING)
    named = np.unique(parts[stroke])
    return ndimage.binary_fill_holes(np.isin(parts, named[named > 0]))


def _pasted(mask: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask of a window as (rows, columns) bool of the picture, by nearest pixel."""
    out = np.zeros(shape, dtype=bool)
    top, left = np.arange(rows.min(), rows.max() + 1), np.arange(columns.min(), columns.max() + 1)
    nearest = [np.abs(line[None] - at[:, None]).argmin(axis=1) for line, at in ((rows, top), (columns, left))]
    out[np.ix_(top, left)] = mask[np.ix_(*nearest)]
    return out


def _suits(case: Case) -> bool:
    return case.spot.dataset == "nuclei" and case.backbone is not None


def _nuclick(case: Case) -> NuClickLike:
    network = _network(Networks(case.backbone.parent).get("nuclei-strokes"))
    return NuClickLike(case.image.channels[:, 0], case.start[0], network)


def _dextr(case: Case) -> DextrLike:
    network = _network(Networks(case.backbone.parent).get("nuclei-extremes"))
    instances = read_volume(require_data() / "dsb2018_nuclei" / f"{case.spot.name}_instances.png").array[0]
    return DextrLike(case.image.channels[:, 0], instances, network)


METHODS = (
    Method("NuClick-like", _nuclick, _suits, cites="after Jahanifar et al., Med Image Anal 2020; a small network"),
    Method("DEXTR-like", _dextr, _suits, "2", "after Maninis et al., CVPR 2018; a small network, true extreme points"),
)

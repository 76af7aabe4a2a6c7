"""Pictures of one case: the start, the strokes, our result, the strongest baseline's and the truth, side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from InteractiveRefineLib.geometry import box_of, padded_box
from InteractiveRefineLib.preview_panels import (
    Color,
    display_window,
    enlarge,
    gray_picture,
    paint_strokes,
    paint_structures,
)
from InteractiveRefineLib.preview_slices import SliceSheet, choose_slices
from InteractiveRefineLib.segmentation import BACKGROUND_STROKE
from Testing.evidence.case import Case
from Testing.evidence.method import Drawn, Method, Session
from Testing.evidence.play import play
from Testing.evidence.robot_user import RobotUser

#: Okabe and Ito's colors: told apart by color-blind readers too.
COLORS: tuple[Color, ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178),
    (170, 170, 170), (150, 95, 50),
)  # fmt: skip
#: On photographs of stained tissue: nothing there is yellow.
PHOTO_COLORS: tuple[Color, ...] = (COLORS[3], *COLORS[:3], *COLORS[4:])
#: Longer side of a panel, the width that its caption needs, gap and line height in pixels.
PANEL, NARROWEST, GAP, LINE = 260, 205, 6, 20
#: Shown around the structures, in mm.
MARGIN_MM = 12.0


@dataclass
class _Watched:
    """A session that remembers what was drawn."""

    session: Session
    drawn: list[Drawn] = field(default_factory=list)

    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        """As the session does."""
        self.drawn.append(drawn)
        return self.session.refine(drawn, labels)


def draw_case(path: Path, case: Case, methods: Sequence[Method], rounds: int = 5) -> list[str]:
    """Play a case and write the picture; a sentence about every method.

    The axial slice is, of those with a stroke for any of the methods, the one with most voxels wrong at the start. The
    strokes shown are those of the first method.
    """
    played, said = [], []
    for method in methods:
        watched: list[_Watched] = []

        def begin(case: Case, method: Method = method, watched: list[_Watched] = watched) -> _Watched:
            watched.append(_Watched(method.begin(case)))
            return watched[-1]

        results, labels = play(case, replace(method, begin=begin), RobotUser(), rounds)
        strokes = watched[0].drawn[-1].all if watched and watched[0].drawn else np.full(labels.shape, -1)
        dice = float(np.nanmean(list(results[-1].dice.values())))
        played.append((f"{method.name}, {dice:.3f}", labels, strokes))
        said.append(f"{case.spot.key} {method.name}: {dice:.3f}")
    start = float(np.nanmean(list(results[0].dice.values())))
    picture = sheet(case, f"start, {start:.3f}", played)
    buffer = io.BytesIO()
    Image.fromarray(picture).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        buffer, format="PNG", optimize=True
    )
    path.write_bytes(buffer.getvalue())
    return said


def sheet(case: Case, start: str, played: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> np.ndarray:
    """(rows, columns, 3) uint8: start, strokes, one panel for each of `played` (caption, labels, strokes), truth."""
    strokes = np.where(played[0][2] == 0, BACKGROUND_STROKE, np.maximum(played[0][2], 0)).astype(np.int32)
    slices = _slice_of(case, np.any([drawn >= 0 for _, _, drawn in played], axis=0))
    (index,) = slices.indices
    shown = slices.cut((case.truth > 0) | (case.start > 0), index)
    box = tuple(slice(0, n) for n in shown.shape)
    if shown.any():
        box = padded_box(box_of(shown), MARGIN_MM, slices.pixel_mm, shown.shape)
    sides = [(side.stop - side.start) * mm for side, mm in zip(box, slices.pixel_mm)]
    scale = max(PANEL / max(sides), NARROWEST / sides[1])
    size = tuple(round(scale * side) for side in sides)

    def cut(array: np.ndarray) -> np.ndarray:
        return slices.cut(array, index)[(..., *box)]

    photo = len(case.image.channels) == 3 and case.image.array.dtype == np.uint8
    pixels = cut(case.image.array if photo else case.image.channels[0])
    flat = pixels if pixels.ndim == 2 else pixels[0]
    gray = gray_picture(pixels, display_window(flat, cut(case.truth) > 0), size)
    palette = PHOTO_COLORS if photo else COLORS
    colors = {label: palette[(label - 1) % len(palette)] for label in range(1, len(case.names) + 1)}
    panels = [(start, case.start, None), (f"strokes for {played[0][0].split(',')[0]}", case.start, strokes)]
    panels += [(caption, labels, None) for caption, labels, _ in played] + [("truth", case.truth, None)]
    height = 2 * LINE + size[0] + 3 * GAP
    canvas = np.full((height, len(panels) * (size[1] + GAP) + GAP, 3), 255, dtype=np.uint8)
    for column, (_, labels, drawn) in enumerate(panels):
        panel, small = gray.copy(), enlarge(cut(labels), size)
        paint_structures(panel, small, colors, fill=drawn is None)
        if drawn is not None:
            paint_strokes(panel, enlarge(cut(drawn), size), np.zeros(size, dtype=np.int32), colors)
        x = GAP + column * (size[1] + GAP)
        canvas[GAP + LINE : GAP + LINE + size[0], x : x + size[1]] = panel
    picture = Image.fromarray(canvas)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for column, (caption, _, _) in enumerate(panels):
        pen.text((GAP + column * (size[1] + GAP), GAP // 2), caption, fill=(0, 0, 0), font=font)
    x, y = GAP, size[0] + LINE + 2 * GAP
    present = set(np.unique(cut(case.truth))) | set(np.unique(cut(case.start)))
    for _, labels, _ in played:
        present |= set(np.unique(cut(labels)))
    entries = [(case.names[label - 1], colors[label]) for label in sorted(present - {0})]
    entries += [("background stroke", (255, 255, 255))] if (cut(strokes) == BACKGROUND_STROKE).any() else []
    for name, color in entries:
        pen.rectangle([x, y + 2, x + 12, y + 14], fill=color, outline=(90, 90, 90))
        pen.text((x + 18, y), name, fill=(0, 0, 0), font=font)
        x += 36 + round(font.getlength(name))
    return np.asarray(picture)


def _slice_of(case: Case, drawn: np.ndarray) -> SliceSheet:
    """The axial slice with most that is wrong at the start, where possible one in which something was drawn."""
    sheet = choose_slices(case.image.geometry, case.start != case.truth, np.zeros(drawn.shape), case.truth, 1)
    wrong, told = (sheet.order.apply(a).sum(axis=(1, 2)) for a in (case.start != case.truth, drawn))
    return replace(sheet, indices=(int(np.argmax(np.where(told > 0, wrong, -1))),)) if told.any() else sheet

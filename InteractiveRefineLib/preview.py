"""A picture of one refinement: before, strokes, after and changes, on the slices that changed most."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .atomic import atomic_output
from .errors import InputError
from .geometry import box_of, padded_box
from .preview_panels import (
    ADDED,
    BACKGROUND_STROKE_COLOR,
    RELABELED,
    REMOVED,
    Color,
    display_window,
    enlarge,
    gray_picture,
    lighter,
    paint_changes,
    paint_strokes,
    paint_structures,
)
from .preview_slices import EDGE_LETTERS, SliceSheet, choose_slices
from .result import ClassChange, RefinementResult
from .segmentation import BACKGROUND_STROKE, Segment
from .volume import Volume

COLUMNS = ("Before", "Strokes", "After", "Changes")
#: Longer side of a picture, the gap between pictures and the height of a line of text, in pixels.
PANEL, GAP, LINE = 360, 10, 24
#: What is shown around the structures, in mm.
MARGIN_MM = 20.0
_PAPER, _TEXT, _FAINT = (17, 19, 23), (235, 237, 240), (150, 156, 166)


def write_preview(
    path: str | os.PathLike,
    image: Volume,
    result: RefinementResult,
    classes: Sequence[Segment],
    n_slices: int = 3,
) -> None:
    """Write a PNG with one row for each of the slices that changed most; the same input gives the same bytes.

    Slices are axial, or as the strokes were drawn; whatever the image's axes, the patient's right is on the left.

    Args:
        path: of the PNG; it appears only when it is complete.
        image: what was segmented; RGB is shown in color, of other channels only the first.
        result: labels and strokes on the image's grid.
        classes: names and colors of the labels.
        n_slices: at most so many rows.

    Raises:
        InputError: the image and the result differ in shape, or `path` cannot be written.
    """
    if image.geometry.shape != result.labels.shape:
        raise InputError(
            f"The preview needs an image and a result on one grid, not {image.geometry.shape} "
            f"and {result.labels.shape} (K, J, I)."
        )
    picture = Image.fromarray(_Sheet.of(image, result, n_slices).draw(image, result, classes))
    with atomic_output(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=9)


@dataclass(frozen=True)
class _Sheet:
    """Which slices are shown, which part of them, and how large."""

    slices: SliceSheet
    box: tuple[slice, slice]
    size: tuple[int, int]

    @classmethod
    def of(cls, image: Volume, result: RefinementResult, n_slices: int) -> _Sheet:
        changed = result.labels != result.previous
        slices = choose_slices(image.geometry, changed, result.strokes, result.labels, n_slices)
        shape = tuple(slices.geometry.shape[a] for a in range(3) if a != slices.axis)
        shown = np.zeros(shape, dtype=bool)
        for index in slices.indices:
            for array in (result.labels, result.previous, result.grown, result.strokes):
                shown |= slices.cut(array, index) != 0
        pixel_mm = slices.pixel_mm
        box = tuple(slice(0, n) for n in shape)
        if shown.any():
            box = padded_box(box_of(shown), MARGIN_MM, pixel_mm, shape)
        sides_mm = [(side.stop - side.start) * mm for side, mm in zip(box, pixel_mm)]
        # A thin strip of an image still gets a picture wide enough for its letters.
        size = tuple(max(48, round(PANEL * side / max(sides_mm))) for side in sides_mm)
        return cls(slices, box, size)

    def draw(self, image: Volume, result: RefinementResult, classes: Sequence[Segment]) -> np.ndarray:
        """The whole sheet, (rows, columns, 3) uint8."""
        colors = _Colors({s.label: tuple(round(255 * c) for c in s.color) for s in classes})
        pixels = [self._pixels(image, index) for index in self.slices.indices]
        labeled = [
            (self._cut(result.labels, index) != 0) | (self._cut(result.previous, index) != 0)
            for index in self.slices.indices
        ]
        window = display_window(np.stack([p if p.ndim == 2 else p[0] for p in pixels]), np.stack(labeled))
        legend = _legend(result, classes, colors)
        width = len(COLUMNS) * (self.size[1] + GAP) + GAP
        row_height = LINE + self.size[0] + GAP
        top = 2 * LINE + GAP
        lines = [line for group in legend if group for line in _wrap(group, width)]
        height = top + len(pixels) * row_height + len(lines) * LINE + GAP
        canvas = np.full((height, width, 3), _PAPER, dtype=np.uint8)
        for row, (index, picture) in enumerate(zip(self.slices.indices, pixels)):
            y = top + row * row_height + LINE
            gray = gray_picture(picture, window, self.size)
            for column, panel in enumerate(self._panels(gray, result, index, colors)):
                x = GAP + column * (self.size[1] + GAP)
                canvas[y : y + self.size[0], x : x + self.size[1]] = panel
        return self._write_texts(canvas, image, result, lines, top, row_height)

    def _cut(self, array: np.ndarray, index: int) -> np.ndarray:
        return self.slices.cut(array, index)[(..., *self.box)]

    def _pixels(self, image: Volume, index: int) -> np.ndarray:
        return self._cut(image.array if _is_photo(image) else image.channels[0], index)

    def _panels(
        self, gray: np.ndarray, result: RefinementResult, index: int, colors: dict[int, Color]
    ) -> list[np.ndarray]:
        """The pictures of one row, in the order of COLUMNS."""
        before, after, strokes, grown = (
            enlarge(self._cut(array, index), self.size)
            for array in (result.previous, result.labels, result.strokes, result.grown)
        )
        panels = [gray.copy() for _ in COLUMNS]
        paint_structures(panels[0], before, colors)
        paint_structures(panels[1], before, colors, fill=False)
        paint_strokes(panels[1], strokes, grown, colors)
        paint_structures(panels[2], after, colors)
        paint_changes(panels[3], before, after)
        return panels

    def _write_texts(
        self, canvas: np.ndarray, image: Volume, result: RefinementResult, lines: list, top: int, row_height: int
    ) -> np.ndarray:
        picture = Image.fromarray(canvas)
        pen = ImageDraw.Draw(picture)
        pen.text((GAP, GAP), f"{image.name}:  {_summary(result)}", fill=_TEXT, font=_font(16))
        for column, heading in enumerate(COLUMNS):
            middle = GAP + column * (self.size[1] + GAP) + self.size[1] // 2
            pen.text((middle, top - LINE // 2), heading, fill=_TEXT, font=_font(15), anchor="mm")
        # A photograph has pixels, but neither a patient's sides nor millimeters.
        anatomical = [] if _is_photo(image) else self.slices.indices
        for row, index in enumerate(anatomical):
            y = top + row * row_height
            pen.text((GAP, y + LINE // 2), self.slices.caption(index), fill=_FAINT, font=_font(13), anchor="lm")
            for column in range(len(COLUMNS)):
                self._edge_letters(pen, GAP + column * (self.size[1] + GAP), y + LINE)
            self._scale_bar(pen, GAP, y + LINE)
        y = top + len(self.slices.indices) * row_height
        for number, line in enumerate(lines):
            for x, entry in line:
                entry.draw(pen, x, y + number * LINE)
        return np.asarray(picture)

    def _edge_letters(self, pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
        rows, columns = self.size
        left, right, upper, lower = EDGE_LETTERS[self.slices.axis]
        for letter, place, anchor in (
            (left, (x + 4, y + rows // 2), "lm"),
            (right, (x + columns - 4, y + rows // 2), "rm"),
            (upper, (x + columns // 2, y + 3), "ma"),
            (lower, (x + columns // 2, y + rows - 3), "md"),
        ):
            _outlined(pen, place, letter, 12, anchor)

    def _scale_bar(self, pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
        """A bar of a round number of mm, at most a quarter of the picture wide, in its lower left corner."""
        pixels_per_mm = self.size[1] / ((self.box[1].stop - self.box[1].start) * self.slices.pixel_mm[1])
        fitting = [mm for mm in (1, 2, 5, 10, 20, 50, 100) if mm * pixels_per_mm <= self.size[1] / 4]
        if not fitting:
            return
        bottom, length = y + self.size[0] - 8, round(fitting[-1] * pixels_per_mm)
        pen.rectangle([x + 7, bottom - 2, x + 7 + length, bottom], fill=_TEXT, outline=(0, 0, 0))
        text = f"{fitting[-1]} mm"
        _outlined(pen, (x + 8, bottom - 5), text, 11, "ld")


def _is_photo(image: Volume) -> bool:
    return len(image.channels) == 3 and image.array.dtype == np.uint8


class _Colors(dict):
    """Label to color; gray for a label that no class explains."""

    def __missing__(self, label: int) -> Color:
        return (128, 128, 128)


@dataclass(frozen=True)
class _Entry:
    """A colored square with a text, in the legend."""

    color: Color
    text: str

    @property
    def width(self) -> int:
        return 22 + round(_font(13).getlength(self.text)) + 24

    def draw(self, pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
        pen.rectangle([x, y + 5, x + 14, y + 19], fill=self.color, outline=_FAINT)
        pen.text((x + 21, y + LINE // 2), self.text, fill=_TEXT, font=_font(13), anchor="lm")


def _legend(result: RefinementResult, classes: Sequence[Segment], colors: dict[int, Color]) -> list[list[_Entry]]:
    """What the colors mean: first of changes and strokes, then of the structures, with their change in ml."""
    marks = [_Entry(ADDED, "added"), _Entry(REMOVED, "removed"), _Entry(RELABELED, "now another structure")]
    if (result.strokes == BACKGROUND_STROKE).any():
        marks.append(_Entry(BACKGROUND_STROKE_COLOR, "background stroke"))
    if np.any(result.grown != result.strokes):
        marks.append(_Entry(lighter((128, 128, 128)), "lighter: grown from a stroke"))
    structures = []
    changes = {change.label: change for change in result.changes}
    present = set(np.unique(result.labels)) | set(np.unique(result.previous)) | set(changes)
    for segment in classes:
        if segment.label in present:
            change = changes.get(segment.label)
            volumes = [sign + (f"{ml:.1f}" if ml >= 1 else f"{ml:.2g}") for sign, ml in _volumes(change) if ml > 0]
            text = "  ".join([segment.name, *volumes]) + (" ml" if volumes else "")
            structures.append(_Entry(colors[segment.label], text))
    return [marks, structures]


def _volumes(change: ClassChange | None) -> list[tuple[str, float]]:
    return [("+", change.added_ml), ("-", change.removed_ml)] if change else []


def _wrap(entries: list[_Entry], width: int) -> list[list[tuple[int, _Entry]]]:
    """Lines of (x, entry) that fit into `width` pixels."""
    lines, x = [[]], GAP
    for entry in entries:
        if lines[-1] and x + entry.width > width - GAP:
            lines.append([])
            x = GAP
        lines[-1].append((x, entry))
        x += entry.width
    return lines


def _summary(result: RefinementResult) -> str:
    n_changed = int((result.labels != result.previous).sum())
    n_strokes = int((result.strokes != 0).sum())
    return f"{n_changed:,} voxels changed by {n_strokes:,} stroke voxels" if n_changed else "nothing changed"


def _outlined(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, anchor: str) -> None:
    pen.text(place, text, fill=_TEXT, font=_font(size), anchor=anchor, stroke_width=1, stroke_fill=(0, 0, 0))


def _font(size: int) -> ImageFont.FreeTypeFont:
    # Pillow carries this font itself, so that the picture does not depend on what the machine has.
    return ImageFont.load_default(size)

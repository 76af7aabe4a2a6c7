"""The middle line of a 2-D blob, where a user would draw a stroke into it.

Own thinning, so that no image-processing package beyond scipy is needed.
"""

from __future__ import annotations

import heapq

import numpy as np
from scipy import ndimage

_STEPS = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


def thin(blob: np.ndarray) -> np.ndarray:
    """Thin a 2-D mask to lines of about one pixel (Zhang and Suen 1984).

    Args:
        blob: (rows, columns) bool.

    Returns:
        (rows, columns) bool, a subset of `blob`, with at least one pixel of every 8-connected part that has any.
    """
    mask = np.pad(np.asarray(blob, dtype=bool), 1)
    changed = True
    while changed:
        changed = False
        for first_pass in (True, False):
            removable = _removable(mask, first_pass)
            if removable.any():
                mask[1:-1, 1:-1] &= ~removable
                changed = True
    return _revive(mask[1:-1, 1:-1], np.asarray(blob, dtype=bool))


def _removable(mask: np.ndarray, first_pass: bool) -> np.ndarray:
    """Border pixels of the padded `mask` that one sub-pass of Zhang and Suen deletes."""
    # The eight neighbors in circular order, starting above and going clockwise: P2 ... P9 of the paper.
    ring = [
        mask[:-2, 1:-1], mask[:-2, 2:], mask[1:-1, 2:], mask[2:, 2:],
        mask[2:, 1:-1], mask[2:, :-2], mask[1:-1, :-2], mask[:-2, :-2],
    ]  # fmt: skip
    above, right, below, left = ring[::2]
    count = np.zeros(above.shape, dtype=np.uint8)
    rises = np.zeros(above.shape, dtype=np.uint8)
    for here, following in zip(ring, ring[1:] + ring[:1]):
        count += here
        rises += ~here & following
    removable = mask[1:-1, 1:-1] & (count >= 2) & (count <= 6) & (rises == 1)
    if first_pass:
        return removable & ~(above & right & below) & ~(right & below & left)
    return removable & ~(above & right & left) & ~(above & below & left)


def _revive(lines: np.ndarray, blob: np.ndarray) -> np.ndarray:
    """Give back one pixel to parts that vanished: the algorithm deletes 2 x 2 squares altogether."""
    parts, count = ndimage.label(blob, structure=np.ones((3, 3)))
    kept = np.zeros(count + 1, dtype=bool)
    kept[parts[lines]] = True
    for part in np.flatnonzero(~kept[1:]) + 1:
        lines[tuple(np.argwhere(parts == part)[0])] = True
    return lines


def _depth(blob: np.ndarray) -> np.ndarray:
    """Distance in pixels of each pixel of the mask to the nearest one outside; all beyond the array is outside."""
    return ndimage.distance_transform_edt(np.pad(blob, 1))[1:-1, 1:-1]


def thickest_point(blob: np.ndarray) -> tuple[int, int]:
    """Pixel (row, column) of the 2-D mask that lies deepest inside; among equals the most central one."""
    depth = _depth(blob)
    deepest = np.argwhere(depth > depth.max() - 1e-9)
    center = np.argwhere(blob).mean(axis=0)
    # Rounded, so that two pixels at the same distance stay equal and the first in scan order is taken.
    offset = np.round(((deepest - center) ** 2).sum(axis=1), 6)
    return tuple(int(x) for x in deepest[int(np.argmin(offset))])


def middle_stroke(blob: np.ndarray, length: int) -> np.ndarray:
    """Draw one connected stroke along the middle of a blob, around its thickest point.

    Of the blob's skeleton, the `length` pixels with the shortest way along the skeleton to the pixel nearest to
    the thickest point; so the stroke stays in one piece, as a hand would draw it. The skeleton of a round blob is
    hardly more than a dot: where it is too short, a straight line along the blob's longest direction is drawn
    instead, if that is longer.

    Args:
        blob: (rows, columns) bool, one 8-connected part with at least one pixel.
        length: pixels of the stroke at most.

    Returns:
        (N, 2) int64 rows and columns inside the blob, 1 <= N <= length, in scan order.
    """
    stroke = _along_skeleton(blob, length)
    if len(stroke) < length:
        line = _straight(blob, length)
        stroke = line if len(line) > len(stroke) else stroke
    return np.array(sorted(stroke), dtype=np.int64)


def _along_skeleton(blob: np.ndarray, length: int) -> set[tuple[int, int]]:
    """The pixels of the skeleton that are nearest along it to the thickest point of the blob."""
    on_line = {tuple(p) for p in np.argwhere(thin(blob)).tolist()}
    row, column = thickest_point(blob)
    start = min(on_line, key=lambda p: ((p[0] - row) ** 2 + (p[1] - column) ** 2, p))
    # Dijkstra; the pixel itself in the heap's key settles ties in scan order.
    heap = [(0.0, start)]
    taken: set[tuple[int, int]] = set()
    while heap and len(taken) < length:
        way, (r, c) = heapq.heappop(heap)
        if (r, c) in taken:
            continue
        taken.add((r, c))
        for dr, dc in _STEPS:
            near = (r + dr, c + dc)
            if near in on_line and near not in taken:
                heapq.heappush(heap, (round(way + (dr * dr + dc * dc) ** 0.5, 6), near))
    return taken


def _straight(blob: np.ndarray, length: int) -> set[tuple[int, int]]:
    """A line through the thickest point along the longest direction, as far as it keeps away from the border."""
    depth = _depth(blob)
    start = np.array(thickest_point(blob))
    pixels = np.argwhere(blob)
    offset = pixels - pixels.mean(axis=0)
    spread, directions = np.linalg.eigh(offset.T @ offset)
    # A blob as long as wide has no longest direction: take the rows, whatever the rounding errors say.
    direction = directions[:, 1] if spread[1] > 1.05 * spread[0] else np.array([0.0, 1.0])
    direction = np.round(direction / np.abs(direction).max(), 3)
    taken = {tuple(start.tolist())}
    open_ends = [1, -1]
    for step in range(1, max(blob.shape)):
        for way in list(open_ends):
            pixel = tuple(np.floor(start + way * step * direction + 0.5).astype(int).tolist())
            inside = 0 <= pixel[0] < blob.shape[0] and 0 <= pixel[1] < blob.shape[1]
            # A third of the greatest depth is the distance a careful hand keeps.
            if not inside or depth[pixel] < depth.max() / 3:
                open_ends.remove(way)
            elif len(taken) < length:
                taken.add(pixel)
    return taken

"""Small networks trained with simulated guidance, as NuClick and DEXTR are: maps of strokes, or extreme points.

Both learn on the same 22 fluorescence pictures as the nuclei network of `train_small_nets`, with true instances. What
they are asked for is an object: mostly a nucleus, sometimes the gap between nuclei, for the user also has to say what
is not a nucleus. Pictures are turned, mirrored, scaled, inverted and colored at random, for they are applied to
pictures of another kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from InteractiveRefineLib.image_io import read_volume
from InteractiveRefineLib.skeleton import middle_stroke
from Testing.real_data import require_data
from Testing.small_cases import training_cases
from Testing.train_small_nets import SmallUNet

#: Pixels (rows and columns) of what the networks see.
SIDE = 96
#: Share of the samples that ask for a gap between nuclei.
GAPS = 0.3
#: Around an object's extreme points a crop reaches so far, as a share of the object's larger side, as about in DEXTR.
MARGIN = 0.2
#: Standard deviation in pixels of the Gaussian at an extreme point: DEXTR's 10 pixels of 512.
SIGMA = 2.0
_TOUCHING = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its true instances.

    Attributes:
        image: (3, rows, columns) float32, 0 to 1.
        instances: (rows, columns) integers, 0 = background.
        gaps: (rows, columns) integers, numbers the places between neighboring nuclei.
    """

    image: np.ndarray
    instances: np.ndarray
    gaps: np.ndarray


#: Makes one sample, network input (channels, SIDE, SIDE) and mask (SIDE, SIDE) bool; None where it did not work out.
Sampler = Callable[[Picture, np.random.Generator], "tuple[np.ndarray, np.ndarray] | None"]


def scaled(image: np.ndarray) -> np.ndarray:
    """(3, rows, columns) float32 from 0 to 1, between the 0.5 and 99.5 percentiles of all colors together."""
    low, high = np.percentile(image, [0.5, 99.5])
    return np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def picture_of(name: str) -> Picture:
    """One training picture."""
    folder = require_data() / "dsb2018_nuclei"
    instances = read_volume(folder / f"{name}_instances.png").array[0]
    nuclei = instances > 0
    gaps, _ = ndimage.label(ndimage.binary_closing(nuclei, _TOUCHING, iterations=5) & ~nuclei)
    return Picture(scaled(read_volume(folder / f"{name}_image.png").channels[:, 0]), instances, gaps)


def window(start: np.ndarray, side: np.ndarray | float, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, SIDE each, that sample a box by nearest pixel; beyond the picture its edge is repeated."""
    lines = np.asarray(start)[:, None] + (np.arange(SIDE) + 0.5) / SIDE * np.broadcast_to(side, 2)[:, None] - 0.5
    rows, columns = (np.clip(np.rint(line), 0, n - 1).astype(int) for line, n in zip(lines, shape))
    return rows, columns


def around(center: np.ndarray, side: float, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The window of a side around a pixel, moved so that it stays in the picture where it fits."""
    start = np.round(np.asarray(center) - side / 2)
    return window(np.clip(start, 0, np.maximum(np.array(shape) - side, 0)), side, shape)


def guidance(pixels: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) float32 map of stroke pixels (SIDE, SIDE) bool, one pixel thicker all around."""
    return ndimage.binary_dilation(pixels, _TOUCHING).astype(np.float32)


def extreme_points(mask: np.ndarray) -> np.ndarray:
    """(4, 2) row and column of the top, bottom, left and right pixel, the middle one where there are several."""
    found = np.argwhere(mask)
    points = []
    for axis, end in ((0, found[:, 0].min()), (0, found[:, 0].max()), (1, found[:, 1].min()), (1, found[:, 1].max())):
        at_end = found[found[:, axis] == end]
        points.append(at_end[len(at_end) // 2])
    return np.array(points)


def extreme_window(points: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The window (rows, columns) around extreme points (4, 2), with a margin."""
    low, high = points.min(axis=0), points.max(axis=0) + 1
    margin = max(4.0, MARGIN * float((high - low).max()))
    return window(low - margin, high - low + 2 * margin, shape)


def heat_map(points: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) float32: Gaussians at points (N, 2) as they lie in a window; 1 at a point."""
    where = np.zeros((SIDE, SIDE), dtype=np.float32)
    grid = np.arange(SIDE)
    for row, column in points:
        r, c = (int(np.argmin(abs(line - at))) for line, at in ((rows, row), (columns, column)))
        spot = np.exp(-((grid[:, None] - r) ** 2 + (grid[None] - c) ** 2) / (2 * SIGMA**2))
        where = np.maximum(where, spot.astype(np.float32))
    return where


def stroke_sample(picture: Picture, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """A stroke in a part of an object, which was missed so to speak, and often one in its surroundings."""
    gap = rng.random() < GAPS
    chosen = _some_object(picture.gaps if gap else picture.instances, rng)
    if chosen is None:
        return None
    inside = np.argwhere(chosen)
    rows, columns = around(inside[rng.integers(len(inside))], rng.uniform(0.6, 1.6) * SIDE, chosen.shape)
    box = np.ix_(rows, columns)
    # In a gap "background" is meant, all of what is connected in the window.
    target = picture.instances[box] == 0 if gap else chosen[box]
    stroke = _stroke_in(chosen[box], rng)
    if stroke is None:
        return None
    target = ndimage.label(target, _TOUCHING)[0]
    target = target == target[tuple(np.argwhere(stroke)[0])]
    against = np.zeros_like(stroke)
    if rng.random() < 0.6:
        other = (picture.instances[box] > 0) == gap
        near = other & ndimage.binary_dilation(target, _TOUCHING, iterations=int(rng.integers(2, 12)))
        found = _stroke_in(near, rng)
        against = against if found is None else found
    return _stacked(picture.image[(slice(None), *box)], [guidance(stroke), guidance(against)], rng), target


def extreme_sample(picture: Picture, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """An object with its extreme points, which are off by some pixels as a user's are."""
    chosen = _some_object(picture.gaps if rng.random() < GAPS else picture.instances, rng)
    if chosen is None:
        return None
    points = extreme_points(chosen) + rng.integers(-1, 2, (4, 2))
    rows, columns = extreme_window(points, chosen.shape)
    box = np.ix_(rows, columns)
    return _stacked(picture.image[(slice(None), *box)], [heat_map(points, rows, columns)], rng), chosen[box]


def _some_object(numbers: np.ndarray, rng: np.random.Generator, least: int = 20) -> np.ndarray | None:
    sizes = np.bincount(numbers.ravel())
    large = np.flatnonzero(sizes[1:] >= least) + 1
    return numbers == large[rng.integers(len(large))] if len(large) else None


def _stroke_in(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Along the middle of a random part of a mask, as the robot draws; (SIDE, SIDE) bool."""
    inside = np.argwhere(mask)
    if len(inside) < 5:
        return None
    center, direction = inside[rng.integers(len(inside))], rng.normal(size=2)
    half = (np.indices(mask.shape).transpose(1, 2, 0) - center) @ direction >= 0
    parts, _ = ndimage.label(mask & half, _TOUCHING)
    part = parts == parts[tuple(center)]
    stroke = np.zeros_like(mask)
    stroke[tuple(middle_stroke(part, int(rng.integers(1, 26))).T)] = True
    return stroke


def _stacked(image: np.ndarray, maps: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The picture in other colors, and the maps."""
    if rng.random() < 0.5:
        image = 1 - image
    curves = rng.uniform(0.5, 2.0, (3, 1, 1))
    image = image**curves * rng.uniform(0.5, 1.1, (3, 1, 1)) + rng.uniform(-0.1, 0.4, (3, 1, 1))
    image = image + rng.normal(0, 0.03, image.shape)
    return np.concatenate([image, maps]).astype(np.float32)


@dataclass(frozen=True)
class GuidedRecipe:
    """How one network is trained: what makes a sample, and how many channels that has."""

    sample: Sampler
    channels: int
    steps: int = 400
    batch: int = 4


GUIDED = {"nuclei-strokes": GuidedRecipe(stroke_sample, 5), "nuclei-extremes": GuidedRecipe(extreme_sample, 4)}


def make_guided_net(name: str, folder: Path, *, seed: int = 0, steps: int | None = None) -> Path:
    """Train the network `name` of `GUIDED`, within two minutes on one core, and write model.ts into `folder`."""
    recipe = GUIDED[name]
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [picture_of(case) for case in training_cases("nuclei")]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = train(recipe, pictures, seed, steps or recipe.steps)
    finally:
        torch.set_num_threads(threads)
    torch.jit.script(network).save(str(folder / "model.ts"))
    return folder


def train(recipe: GuidedRecipe, pictures: list[Picture], seed: int, steps: int) -> SmallUNet:
    """A network from (1, channels, SIDE, SIDE) to logits (1, 2, SIDE, SIDE) of "not the object" and "the object"."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = SmallUNet(2, recipe.channels, 2, width=8, levels=5).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps, pct_start=0.2)
    for _ in range(steps):
        samples = []
        while len(samples) < recipe.batch:
            sample = recipe.sample(pictures[rng.integers(len(pictures))], rng)
            samples += [] if sample is None else [_turned(sample, rng)]
        inputs, masks = (torch.from_numpy(np.stack(parts)) for parts in zip(*samples))
        optimizer.zero_grad(set_to_none=True)
        _loss(network(inputs), masks).backward()
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)


def _turned(sample: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    turned = [np.rot90(part, quarters, axes=(-2, -1)) for part in sample]
    return tuple(np.ascontiguousarray(part[..., ::-1] if mirrored else part) for part in turned)


def _loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy plus the soft Dice of every sample."""
    probability, wanted = logits.softmax(1)[:, 1].flatten(1), masks.flatten(1).float()
    overlap = (2 * (probability * wanted).sum(1) + 20) / (probability.sum(1) + wanted.sum(1) + 20)
    return F.cross_entropy(logits, masks.long()) + (1 - overlap).mean()

"""Small U-Nets trained in a minute on the shared real scans: two channels, slice by slice, and color pictures.

    python -m Testing.train_small_nets tumor my-backbones/tumor

One thread, one seed and a number of steps give the same weights again on the same machine. The networks are small and
see few cases: they make real mistakes on real scans, which is what the tests and benchmarks need.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from InteractiveRefineLib.backbone.preprocessing import ConfigPreprocessing
from InteractiveRefineLib.backbone.read_config import read_config
from InteractiveRefineLib.orientation import AxisOrder
from InteractiveRefineLib.volume import Volume
from Testing.small_cases import READERS, Case, training_cases

NEAR_STRUCTURES = 0.7  # share of the crops that lie around a voxel of a structure, of any class alike


class SmallUNet(nn.Module):
    """A plain U-Net: (B, channels, *spatial) -> (B, classes, *spatial), sides divisible by 2 ** (levels - 1)."""

    def __init__(self, dimensions: int, channels: int, classes: int, width: int = 8, levels: int = 3) -> None:
        super().__init__()
        conv, self.pool = (nn.Conv2d, nn.MaxPool2d(2)) if dimensions == 2 else (nn.Conv3d, nn.MaxPool3d(2))
        widths = [width * 2**level for level in range(levels)]
        self.down = nn.ModuleList(_block(dimensions, a, b) for a, b in zip([channels, *widths], widths))
        self.up = nn.ModuleList(_block(dimensions, a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1]))
        self.head = conv(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.pool(x))
            skips.append(x)
        x = skips.pop()
        for block in self.up:
            skip = skips.pop()
            x = block(torch.cat([F.interpolate(x, size=skip.shape[2:]), skip], 1))
        return self.head(x)


def _block(dimensions: int, channels: int, width: int) -> nn.Module:
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dimensions == 2 else (nn.Conv3d, nn.BatchNorm3d)
    layers: list[nn.Module] = []
    for inputs in (channels, width):
        layers += [conv(inputs, width, 3, padding=1, bias=False), norm(width), nn.ReLU()]
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class Recipe:
    """How one network is made.

    Attributes:
        cases: reads an image and its true labels (K, J, I) by name.
        description: what goes into backbone.json; the training sees what the library makes of an image by it.
        crop: size (K, J, I) of a training crop on the network's grid; K = 1 for a 2-D network.
        batch, steps, width, levels: of the training and the network.
        invert: share of the crops with dark and bright swapped, for intensities from 0 to 1.
    """

    cases: Callable[[str], Case]
    description: dict[str, Any]
    crop: tuple[int, int, int]
    batch: int
    steps: int
    width: int
    levels: int
    invert: float = 0.0


def _named(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


RECIPES = {
    "tumor": Recipe(
        READERS["tumor"],
        {
            "name": "Brain tumor MR (FLAIR + T1c)",
            "dimensions": 3,
            "channels": _named("FLAIR", "T1c"),
            "classes": _named("background", "enhancing tumor", "other tumor and edema"),
            "spacing": [2.5, 2.5, 2.5],
            "crop": {"mode": "body", "threshold": -2.0, "fraction": 0.01},
            "intensity": {"rule": "window", "low": -3, "high": 6, "mean": 0, "std": 1},
            "divisible_by": 4,
        },
        crop=(24, 24, 24), batch=4, steps=250, width=8, levels=3,
    ),
    "nuclei": Recipe(
        READERS["nuclei"],
        {
            "name": "Nuclei in fluorescence microscopy",
            "dimensions": 2,
            "channels": _named("red", "green", "blue"),
            "classes": _named("background", "nucleus"),
            "intensity": {"rule": "percentile-scale", "low": 0.5, "high": 99.5},
            "divisible_by": 8,
        },
        crop=(1, 96, 96), batch=4, steps=300, width=8, levels=4, invert=0.5,
    ),
    "hippocampus-slices": Recipe(
        READERS["hippocampus-slices"],
        {
            "name": "Hippocampus MR, sagittal slice by slice",
            "dimensions": 2,
            "channels": _named("T1"),
            "classes": _named("background", "anterior hippocampus", "posterior hippocampus"),
            "axis_codes": "ASR",  # the third letter: slices lie side by side from left to right
            "intensity": {"rule": "percentile-zscore", "low": 0.5, "high": 99.5},
            "divisible_by": 4,
        },
        crop=(1, 40, 48), batch=16, steps=250, width=8, levels=3,
    ),
    "abdomen-mr": Recipe(
        READERS["abdomen-mr"],
        {
            "name": "Abdomen T2 MR, slice by slice",
            "dimensions": 2,
            "channels": _named("T2"),
            "classes": _named("background", "liver", "right kidney", "left kidney", "spleen"),
            "axis_codes": "LAS",
            "spacing": [2.5, 2.5],
            "intensity": {"rule": "percentile-zscore", "low": 0.5, "high": 99.5},
            "divisible_by": 16,
        },
        crop=(1, 128, 128), batch=6, steps=300, width=8, levels=5,
    ),
}  # fmt: skip


def make_small_net(name: str, folder: Path, *, seed: int = 0, steps: int | None = None) -> Path:
    """Train the network `name` of `RECIPES` on its training cases; write backbone.json and model.ts into `folder`."""
    recipe = RECIPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    steps = recipe.steps if steps is None else steps
    description = {"format": 1, **recipe.description, "model": {"torchscript": "model.ts"}}
    description["made_by"] = f"python -m Testing.train_small_nets {name} --seed {seed} --steps {steps}"
    (folder / "backbone.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    preprocessing = ConfigPreprocessing(read_config(folder))
    samples = [_on_grid(preprocessing, *recipe.cases(case)) for case in training_cases(name)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = _train(recipe, samples, seed, steps)
    finally:
        torch.set_num_threads(threads)
    torch.jit.script(network).save(str(folder / "model.ts"))
    return folder


def _on_grid(preprocessing: ConfigPreprocessing, image: Volume, truth: np.ndarray) -> tuple[Tensor, Tensor]:
    """(C, K, J, I) float32 as the network will see the image, and (K, J, I) int64 labels there, by nearest voxel."""
    order = AxisOrder.toward(image.geometry, preprocessing.codes_by_tensor_axis(image.geometry))
    turned = np.ascontiguousarray(order.apply(image.channels))
    inputs, grid = preprocessing(turned, order.apply_geometry(image.geometry), torch.device("cpu"))
    nearest = [np.clip(np.rint(grid.image_positions(a)).astype(int), 0, grid.image_shape[a] - 1) for a in range(3)]
    return inputs, torch.from_numpy(order.apply(truth)[np.ix_(*nearest)].astype(np.int64))


def _train(recipe: Recipe, samples: list[tuple[Tensor, Tensor]], seed: int, steps: int) -> SmallUNet:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    description = recipe.description
    channels, classes = len(description["channels"]), len(description["classes"])
    network = SmallUNet(description["dimensions"], channels, classes, recipe.width, recipe.levels).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps, pct_start=0.2)
    inside = [[np.argwhere((truth == label).numpy()) for label in range(1, classes)] for _, truth in samples]
    for _ in range(steps):
        crops = [_crop(samples, inside, recipe, rng) for _ in range(recipe.batch)]
        images, truth = (torch.stack(parts) for parts in zip(*crops))
        if description["dimensions"] == 2:
            images, truth = images[:, :, 0], truth[:, 0]
        optimizer.zero_grad(set_to_none=True)
        _loss(network(images), truth).backward()
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)


def _crop(
    samples: list[tuple[Tensor, Tensor]],
    inside: list[list[np.ndarray]],
    recipe: Recipe,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """One random crop, changed mildly in intensity; filled with its edge where the image is smaller."""
    number = int(rng.integers(len(samples)))
    image, truth = samples[number]
    center = rng.integers(truth.shape)
    present = [voxels for voxels in inside[number] if len(voxels)]
    if present and rng.random() < NEAR_STRUCTURES:
        voxels = present[rng.integers(len(present))]
        center = voxels[rng.integers(len(voxels))]
    index = []
    for c, n, m in zip(center, recipe.crop, truth.shape):
        start = int(np.clip(c - rng.integers(n), 0, max(0, m - n)))
        index.append(np.clip(np.arange(start, start + n), 0, m - 1))
    box = np.ix_(*index)
    image = image[(slice(None), *box)]
    if rng.random() < recipe.invert:
        image = 1 - image
    image = image * float(rng.uniform(0.9, 1.1)) + float(rng.uniform(-0.1, 0.1))
    return image, truth[box]


def _loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice over the classes other than background."""
    probability = logits.softmax(1).movedim(1, 0)[1:].flatten(1)
    wanted = F.one_hot(truth, logits.shape[1]).movedim(-1, 0)[1:].flatten(1).float()
    overlap = (2 * (probability * wanted).sum(1) + 20) / (probability.sum(1) + wanted.sum(1) + 20)
    return F.cross_entropy(logits, truth) + (1 - overlap).mean()


def main(arguments: list[str] | None = None) -> int:
    """Train one network and say how to check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(RECIPES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="instead of the recipe's own number")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    folder = make_small_net(options.network, options.folder, seed=options.seed, steps=options.steps)
    print(f"Trained in {time.monotonic() - start:.0f} s. Check it with: interactive-refine check-backbone {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Train the embedded backbone on phantoms and save it to Resources/Backbones/PhantomAbdomen.

    python -m Testing.train_phantom_backbone --iterations 1000

One thread, one seed and a number of iterations give the same weights again on the same machine; `--minutes` stops
earlier, wherever it is then. Prints the Dice coefficients on held-out phantoms, as they are and shifted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from InteractiveRefineLib.metrics import dice_per_class
from InteractiveRefineLib.phantom import PHANTOM_SEGMENTS, PHANTOM_SPACING_KJI, make_phantom
from Testing.phantom_network import PhantomUNet

FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "Backbones" / "PhantomAbdomen"
WINDOW = (-200.0, 300.0)
CROP_K = 40
FIRST_HELD_OUT_SEED = 10000


def windowed(hu: np.ndarray) -> Tensor:
    """Network input (1, 1, K, J, I) float32 from Hounsfield units (K, J, I): clipped and scaled to 0 to 1."""
    low, high = WINDOW
    return torch.from_numpy((np.clip(hu, low, high) - low) / np.float32(high - low)).float()[None, None]


def training_sample(scans: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One random slab with mild changes of intensity: (1, 1, K, J, I) float32 and (1, K, J, I) int64."""
    image, labels = scans[rng.integers(len(scans))]
    first = int(rng.integers(0, image.shape[0] - CROP_K + 1))
    slab = image[first : first + CROP_K]
    # Mild on purpose: the demo needs a network that another scanner's intensities really confuse.
    slab = slab * rng.uniform(0.96, 1.04) + rng.uniform(-8, 8)
    slab = slab + rng.standard_normal(slab.shape, dtype=np.float32) * np.float32(rng.uniform(0, 8))
    target = torch.from_numpy(labels[first : first + CROP_K].astype(np.int64))[None]
    return windowed(slab.astype(np.float32)), target


def loss_of(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice over the classes other than background."""
    probability = logits.softmax(1)[0, 1:].flatten(1)
    wanted = F.one_hot(target[0], logits.shape[1]).movedim(-1, 0)[1:].flatten(1).float()
    overlap = (2 * (probability * wanted).sum(1) + 20) / (probability.sum(1) + wanted.sum(1) + 20)
    return F.cross_entropy(logits, target) + (1 - overlap).mean()


def train(
    scans: list[tuple[np.ndarray, np.ndarray]], iterations: int, minutes: float, seed: int
) -> tuple[PhantomUNet, int]:
    """Train a new network for at most `iterations` steps and `minutes` minutes; also returns the steps done."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = PhantomUNet(classes=len(PHANTOM_SEGMENTS) + 1).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=iterations, pct_start=0.1)
    start = time.monotonic()
    recent: list[float] = []
    done = 0
    while done < iterations and time.monotonic() - start < minutes * 60:
        image, target = training_sample(scans, rng)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(network(image), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        done += 1
        if done % 50 == 0:
            passed = (time.monotonic() - start) / 60
            print(f"step {done}/{iterations}  loss {np.mean(recent):.3f}  {passed:.1f} min", flush=True)
            recent.clear()
    return network.eval(), done


def held_out_dice(network: torch.nn.Module, count: int, shift: str | None) -> dict[str, float]:
    """Mean Dice coefficient per class name over `count` phantoms that were not trained on."""
    scores = []
    for seed in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + count):
        volume, truth = make_phantom(seed, shift=shift)
        with torch.no_grad():
            labels = network(windowed(volume.array))[0].argmax(0).numpy()
        scores.append(list(dice_per_class(truth.labels, labels, [s.label for s in PHANTOM_SEGMENTS]).values()))
    return dict(zip([s.name for s in PHANTOM_SEGMENTS], np.nanmean(scores, axis=0).round(4).tolist()))


def save(network: PhantomUNet, folder: Path, made_by: str) -> None:
    """Write model.ts and backbone.json."""
    folder.mkdir(parents=True, exist_ok=True)
    # Scripted rather than traced: it must take images of any size, and keep `features` and `head` apart.
    torch.jit.script(network).save(str(folder / "model.ts"))
    description = {
        "format": 1,
        "name": "Phantom abdomen",
        "dimensions": 3,
        "channels": [{"name": "CT"}],
        "classes": [{"name": "background"}] + [{"name": s.name, "color": list(s.color)} for s in PHANTOM_SEGMENTS],
        "axis_codes": "LPS",
        "tensor_axes": "KJI",
        "spacing": list(PHANTOM_SPACING_KJI[::-1]),
        "crop": {"mode": "none"},
        "intensity": {"rule": "window", "low": WINDOW[0], "high": WINDOW[1]},
        "activation": "softmax",
        "patch_size": None,
        "overlap": 0.5,
        "divisible_by": 8,
        "model": {"torchscript": "model.ts"},
        "license": "Apache-2.0; trained on synthetic phantoms only, no patient data; not for clinical use",
        "made_by": made_by,
    }
    (folder / "backbone.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after this time at the latest")
    parser.add_argument("--phantoms", type=int, default=64, help="train on seeds 0 to this")
    parser.add_argument("--held-out", type=int, default=8, help="measure on this many other seeds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--measure-only", action="store_true", help="do not train: measure the saved network")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if not options.measure_only:
        scans = [(v.array, s.labels) for v, s in map(make_phantom, range(options.phantoms))]
        network, done = train(scans, options.iterations, options.minutes, options.seed)
        made_by = (
            f"python -m Testing.train_phantom_backbone --iterations {options.iterations}"
            f" --phantoms {options.phantoms} --seed {options.seed} (torch {torch.__version__}, 1 thread)"
        )
        if done < options.iterations:
            made_by += f", stopped after {done} steps"
        save(network, options.output, made_by)
    network = torch.jit.load(str(options.output / "model.ts"))
    for shift in (None, "domain"):
        scores = held_out_dice(network, options.held_out, shift)
        mean = float(np.mean(list(scores.values())))
        print(f"{'shifted' if shift else 'as trained'}: mean {mean:.4f}  {scores}", flush=True)


if __name__ == "__main__":
    main()

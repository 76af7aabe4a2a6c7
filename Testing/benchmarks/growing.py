"""Benchmark: region growing beside SimpleITK's ConnectedThreshold and the definition in plain Python.

Run `python -m Testing.benchmarks.growing` (takes some minutes; `--size 100 200 200 --repeats 1` is a quick look). It
prints Markdown tables, and writes them to `--output FILE` as well. The tools compute different things:
ConnectedThreshold fills one interval of intensities through the whole image, one label after the other, without a bound
and without ties. The definition in plain Python computes the same as we do, on small volumes, in a table of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from InteractiveRefineLib.growing import grow
from InteractiveRefineLib.seeds import grow_strokes
from InteractiveRefineLib.settings import RefineSettings

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Testing" / "tests"))

from growing_oracle import grow_slowly  # noqa: E402

SPACING = (1.0, 0.8, 0.8)
#: Center and half axes of each organ as shares of the volume, and its intensity.
ORGANS = (
    ((0.55, 0.45, 0.35), (0.30, 0.20, 0.18), 100),
    ((0.55, 0.50, 0.72), (0.20, 0.12, 0.10), 130),
    ((0.30, 0.60, 0.40), (0.12, 0.09, 0.09), 200),
)
NOISE = 12.0
DISTANCES_MM = (15.0, 30.0, 60.0)
STROKE_VOXELS = (200, 2000, 20000)


def scan(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A body with three organs and noise, int16, and the organs' labels 1, 2, 3, uint8."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal(shape, dtype=np.float32) * np.float32(NOISE)
    share = np.ogrid[tuple(slice(0, 1, 1 / size) for size in shape)]
    share = [axis[tuple(slice(size) for size in axis.shape)] for axis in share]
    body = ((share[1] - 0.5) / 0.40) ** 2 + ((share[2] - 0.5) / 0.45) ** 2 <= 1
    image += np.where(body, np.float32(0), np.float32(-1000))
    organs = np.zeros(shape, dtype=np.uint8)
    for label, (center, half, intensity) in enumerate(ORGANS, 1):
        inside = sum(((s - c) / h) ** 2 for s, c, h in zip(share, center, half)) <= 1
        image[inside] += intensity
        organs[inside] = label
    return np.rint(image).astype(np.int16), organs


def strokes(organs: np.ndarray, n_voxels: int) -> np.ndarray:
    """Labels of about `n_voxels` stroke voxels: lines of a 3 x 3 brush in single slices, half of them in organ 1."""
    rng = np.random.default_rng(n_voxels)
    drawn = np.zeros(organs.shape, dtype=np.uint16)
    stride = max(1, min(organs.shape) // 64)
    coarse = organs[::stride, ::stride, ::stride]
    for label, share in ((1, 0.5), (2, 0.25), (3, 0.25)):
        starts = stride * np.argwhere(coarse == label)
        left = int(n_voxels * share)
        for _ in range(20 + n_voxels // 20):  # a small organ may have less room than that
            if left == 0:
                break
            angle = rng.uniform(0, 2 * np.pi)
            line = np.arange(40)[:, None] * (0, np.sin(angle), np.cos(angle))
            brush = np.array([(0, j, i) for j in (-1, 0, 1) for i in (-1, 0, 1)])
            voxels = np.rint(starts[rng.integers(len(starts))] + line).astype(int)[:, None] + brush
            voxels = np.unique(voxels.reshape(-1, 3), axis=0)
            voxels = voxels[((voxels >= 0) & (voxels < organs.shape)).all(axis=1)]
            voxels = voxels[(organs[tuple(voxels.T)] == label) & (drawn[tuple(voxels.T)] == 0)][:left]
            drawn[tuple(voxels.T)] = label
            left -= len(voxels)
    return drawn


def connected_threshold(image: sitk.Image, organs: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The nearest that SimpleITK offers: one fill per organ, of what is within 2 sigma of its intensity."""
    filled = np.zeros(drawn.shape, dtype=np.uint16)
    for label, (_, _, intensity) in enumerate(ORGANS, 1):
        seeds = [tuple(int(n) for n in kji[::-1]) for kji in np.argwhere(drawn == label)]
        low, high = intensity - 2 * NOISE, intensity + 2 * NOISE
        region = sitk.ConnectedThreshold(image, seedList=seeds, lower=low, upper=high)
        filled[sitk.GetArrayViewFromImage(region) > 0] = label
    return filled


def measure(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Medians of the seconds that a call takes: by the clock, and of all cores together."""
    call()
    wall, cpu = [], []
    for _ in range(repeats):
        clock, busy = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - clock)
        cpu.append(time.process_time() - busy)
    return statistics.median(wall), statistics.median(cpu)


def peak_mb(call: Callable[[], object]) -> float:
    """MB that a call has at most in NumPy arrays and Python objects, beyond what was there; SimpleITK's not counted."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def large(shape: tuple[int, int, int], repeats: int) -> list[str]:
    """Growing and ConnectedThreshold on a volume of clinical size."""
    image, organs = scan(shape)
    itk_image = sitk.GetImageFromArray(image)
    blocked = np.zeros(shape, dtype=bool)
    lines = [
        f"## {shape[2]} x {shape[1]} x {shape[0]} voxels, 3 labels, noise {NOISE:g}, T = {2 * NOISE:g}",
        "",
        "| R (mm) | stroke voxels | rule | grown voxels | steps | `grow` (s) | CPU (s) | `grow_strokes` (s) | CPU (s) "
        "| ConnectedThreshold (s) | CPU (s) | its CPU / `grow`'s | peak MB of `grow` |",
        "|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for n_voxels in STROKE_VOXELS:
        drawn = strokes(organs, n_voxels)
        voxels = np.argwhere(drawn)
        wanted = drawn[tuple(voxels.T)].astype(np.int64)
        every = np.ones(len(voxels), dtype=bool)
        other, other_cpu = measure(lambda d=drawn: connected_threshold(itk_image, organs, d), repeats)
        for distance in DISTANCES_MM:
            for rule in ("chain", "seed"):
                settings = RefineSettings(max_distance_mm=distance, growing_rule=rule)

                def plain(d=drawn, r=distance, how=rule):
                    return grow(image, d, SPACING, 2 * NOISE, r, rule=how)

                def with_noise(v=voxels, w=wanted, c=every, s=settings):
                    return grow_strokes(image[None], SPACING, v, w, c, blocked, s)

                ours, ours_cpu = measure(plain, repeats)
                all_of_it, all_of_it_cpu = measure(with_noise, repeats)
                result = plain()
                lines.append(
                    f"| {distance:g} | {n_voxels} | {rule} | {sum(result.n_grown.values())} | {result.steps} "
                    f"| {ours:.2f} | {ours_cpu:.2f} | {all_of_it:.2f} | {all_of_it_cpu:.2f} "
                    f"| {other:.2f} | {other_cpu:.2f} | {other_cpu / ours_cpu:.1f} | {peak_mb(plain):.0f} |"
                )
                print(lines[-1], file=sys.stderr, flush=True)
    return lines


def small(repeats: int) -> list[str]:
    """Growing and its definition in plain Python, on what the latter can do."""
    lines = [
        "## The definition in plain Python, on small volumes",
        "",
        "| voxels | R (mm) | stroke voxels | rule | definition CPU (s) | `grow` CPU (s) | ratio | the same labels |",
        "|---:|---:|---:|---|---:|---:|---:|---|",
    ]
    for size, n_voxels, distance in ((24, 20, 5.0), (40, 60, 6.0), (40, 60, 15.0)):
        image, organs = scan((size, size, size))
        drawn = strokes(organs, n_voxels)
        for rule in ("chain", "seed"):

            def ours(i=image, d=drawn, r=distance, how=rule):
                return grow(i, d, SPACING, 2 * NOISE, r, rule=how, leak_guard=False)

            start = time.process_time()
            expected = grow_slowly(image, drawn, SPACING, 2 * NOISE, distance, rule=rule)
            slow = time.process_time() - start
            fast = measure(ours, repeats)[1]
            same = "yes" if np.array_equal(ours().labels, expected) else "NO"
            lines.append(
                f"| {size}^3 | {distance:g} | {np.count_nonzero(drawn)} | {rule} | {slow:.2f} | {fast:.4f} "
                f"| {slow / fast:.0f} | {same} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=(300, 512, 512), metavar=("K", "J", "I"))
    parser.add_argument("--repeats", type=int, default=3, help="times each call is measured; the median is shown (3)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the tables here (Markdown)")
    args = parser.parse_args()
    lines = [
        "# Region growing: what this machine measured",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, SimpleITK {sitk.Version_VersionString()}; "
        f"medians of {args.repeats} calls after one that is not counted. `grow_strokes` estimates the noise, from "
        "which T follows, and closes what is unlike the strokes, then grows.",
        "",
        *large(tuple(args.size), args.repeats),
        "",
        *small(args.repeats),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

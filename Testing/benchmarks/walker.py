"""Benchmark: our random walker beside scipy's conjugate gradients and scikit-image's random_walker.

Run `python -m Testing.benchmarks.walker` (a few minutes). All solve the same box: two organs and the rest, with noise,
seeded by strokes, and a prior that is wrong at all borders, relaxed near the strokes, as in a refinement. scipy solves
our very system, assembled as a sparse matrix, to a relative residual of 1e-4, with the same Jacobi preconditioner, on
one core. scikit-image has other edge weights and no prior; it is given the image only. pyamg, an algebraic multigrid,
takes part where it is installed (`pip install pyamg`): our system again, conjugate gradients preconditioned by smoothed
aggregation, setting it up included, to the same residual. Agreement is measured against our system solved to 1e-8.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from scipy import ndimage

from InteractiveRefineLib.decoding.decode import GAMMA, GAMMA_FLOOR
from InteractiveRefineLib.decoding.walker import WalkerProblem, edge_weights, solve_walker
from Testing.benchmarks.growing import NOISE, SPACING, scan, strokes
from Testing.benchmarks.measuring import machine, peak_megabytes, plot, side_by_side

#: The prior gives way within about this distance of the strokes, as on a torso CT.
RELAX_MM = 12.0
HEADER = (
    "| voxels | ours (s) | scipy CG (s) | ratio | pyamg (s) | ratio | scikit-image (s) | ratio "
    "| largest difference of probabilities, ours | scipy's | Dice of labels, ours "
    "| peak MB ours, scipy, pyamg, scikit-image |\n" + "|---:" * 12 + "|"
)


def a_problem(shape: tuple[int, int, int]) -> tuple[WalkerProblem, np.ndarray, np.ndarray]:
    """A box with three organs, three classes; with the image and the strokes (0 none)."""
    image, organs = scan(shape)
    drawn = strokes(organs, 600)
    intensity = torch.from_numpy(np.clip(image, -100, 300).astype(np.float32) / 60)
    classes = np.where(organs == 3, 0, organs)
    believed = np.roll(classes, (2, -2, 2), (0, 1, 2))  # what a network says that is two voxels off
    prior = torch.stack([torch.from_numpy(np.where(believed == c, 0.8, 0.1).astype(np.float32)) for c in range(3)])
    seeded = torch.from_numpy(drawn > 0)
    for label in range(3):
        prior[label][seeded] = torch.from_numpy(classes == label)[seeded].float()
    distance = ndimage.distance_transform_edt(drawn == 0, sampling=SPACING)
    relax = torch.from_numpy(np.exp(-0.5 * (distance / RELAX_MM) ** 2).astype(np.float32))
    gamma = GAMMA / RELAX_MM**2 * (GAMMA_FLOOR + 1 - relax)
    return WalkerProblem(intensity[None], torch.tensor([12.0]), prior, gamma, seeded, SPACING), image, drawn


def assembled(problem: WalkerProblem) -> tuple[scipy.sparse.csr_matrix, list[np.ndarray], np.ndarray]:
    """Our system as a sparse matrix over the free voxels, one right-hand side per class, and their indices."""
    shape = tuple(problem.gamma.shape)
    index = np.arange(np.prod(shape)).reshape(shape)
    rows, columns, values = [], [], []
    for axis, weight in enumerate(edge_weights(problem)):
        n = shape[axis]
        first, second = (index.take(range(a, n - 1 + a), axis).ravel() for a in (0, 1))
        rows += [first, second]
        columns += [second, first]
        values += [weight.numpy().ravel()] * 2
    off = scipy.sparse.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(index.size, index.size)
    )
    gamma = problem.gamma.numpy().ravel()
    matrix = scipy.sparse.diags(np.asarray(off.sum(axis=1)).ravel() + gamma) - off
    free = np.flatnonzero(~problem.fixed.numpy().ravel())
    fixed = np.flatnonzero(problem.fixed.numpy().ravel())
    matrix = matrix.tocsr()
    known = matrix[free][:, fixed]
    priors = problem.prior.numpy().reshape(len(problem.prior), -1)
    return matrix[free][:, free], [gamma[free] * p[free] - known @ p[fixed] for p in priors], free


def by_scipy(problem: WalkerProblem, tolerance: float) -> np.ndarray:
    """Probabilities (C, *box) of the first classes but one, the last follows."""
    matrix, sides, free = assembled(problem)
    jacobi = scipy.sparse.diags(1 / matrix.diagonal())
    out = problem.prior.numpy().reshape(len(problem.prior), -1).copy()
    for row, side in zip(out, sides):
        row[free], _ = scipy.sparse.linalg.cg(matrix, side, x0=row[free], rtol=tolerance, M=jacobi, maxiter=5000)
    return out.reshape(problem.prior.shape)


def by_pyamg(problem: WalkerProblem, tolerance: float) -> np.ndarray:
    """The same by pyamg."""
    import pyamg

    matrix, sides, free = assembled(problem)
    multigrid = pyamg.smoothed_aggregation_solver(matrix)
    out = problem.prior.numpy().reshape(len(problem.prior), -1).copy()
    for row, side in zip(out, sides):
        row[free] = multigrid.solve(side, x0=row[free], tol=tolerance, accel="cg")
    return out.reshape(problem.prior.shape)


def measure(shape: tuple[int, int, int], repeats: int) -> tuple[list[str], dict[str, float]]:
    """One row of the table."""
    problem, image, drawn = a_problem(shape)
    calls = {"ours": lambda: solve_walker(problem), "scipy": lambda: by_scipy(problem, 1e-4)}
    if importlib.util.find_spec("pyamg"):
        calls["pyamg"] = lambda: by_pyamg(problem, 1e-4)
    if importlib.util.find_spec("skimage"):
        from skimage.segmentation import random_walker

        calls["skimage"] = lambda: random_walker(
            image.astype(np.float32), drawn.astype(np.int32), beta=1 / (4 * NOISE**2) * image.std() ** 2,
            mode="cg_j", tol=1e-3, spacing=SPACING, return_full_prob=True,
        )  # fmt: skip
    times = side_by_side(calls, repeats)
    peaks = {name: peak_megabytes(call) for name, call in calls.items()}
    exact = by_scipy(problem, 1e-8)
    ours, theirs = solve_walker(problem).numpy(), by_scipy(problem, 1e-4)
    same = np.mean([_dice(ours.argmax(0) == c, exact.argmax(0) == c) for c in range(3)])
    cells = [f"{image.size:,}", f"**{times['ours']:.2f}**"]
    for name in ("scipy", "pyamg", "skimage"):
        other = times.get(name, float("nan"))
        cells += [f"{other:.2f}", f"{other / times['ours']:.1f}"]
    cells += [
        f"{np.abs(ours - exact).max():.3f}", f"{np.abs(theirs - exact).max():.3f}", f"{same:.4f}",
        ", ".join(f"{peaks.get(name, float('nan')):.0f}" for name in ("ours", "scipy", "pyamg", "skimage")),
    ]  # fmt: skip
    return cells, times


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def main() -> int:
    """Print the table and, if asked, write it with a plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sides", type=int, nargs="+", default=[48, 80, 126], help="of the cubic boxes (126: 2 million)"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the table here (Markdown), and a .png")
    args = parser.parse_args()
    lines = ["# The random walker", "", f"{machine()}; medians of {args.repeats}; 3 classes.", "", HEADER]
    print("\n".join(lines), flush=True)
    found: dict[str, list[float]] = {}
    for side in args.sides:
        cells, times = measure((side, side, side), args.repeats)
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
        for name, value in times.items():
            found.setdefault(name, []).append(value)
    if args.output:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
        names = {"ours": "ours", "scipy": "scipy CG", "pyamg": "pyamg", "skimage": "scikit-image random_walker"}
        named = {names[name]: values for name, values in found.items()}
        plot(args.output.with_suffix(".png"), "Random walker, 3 classes", [s**3 for s in args.sides], named, "voxels")
    return 0


if __name__ == "__main__":
    sys.exit(main())

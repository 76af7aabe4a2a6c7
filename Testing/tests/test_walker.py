"""The random walker solves its linear system, whatever solver one compares it with."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from InteractiveRefineLib.errors import Cancelled

torch = pytest.importorskip("torch")

from InteractiveRefineLib.decoding.walker import (  # noqa: E402
    EDGE_FLOOR,
    WalkerProblem,
    _halve,
    edge_weights,
    solve_walker,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def a_problem(shape, spacing=(1.0, 1.0, 1.0), classes=3, seed=0, gamma=(0.05, 0.5), fixed_share=0.05, beta=1.0):
    """Random features, priors and fixed voxels; fixed ones are certain."""
    generator = torch.Generator().manual_seed(seed)
    fixed = torch.rand(shape, generator=generator) < fixed_share
    prior = torch.randn(classes, *shape, generator=generator).softmax(dim=0)
    certain = torch.nn.functional.one_hot(prior.argmax(dim=0), classes).movedim(-1, 0).float()
    return WalkerProblem(
        features=torch.randn(2, *shape, generator=generator),
        feature_weights=torch.tensor([3.0, 0.5]),
        prior=torch.where(fixed, certain, prior),
        gamma=gamma[0] + (gamma[1] - gamma[0]) * torch.rand(shape, generator=generator),
        fixed=fixed,
        spacing=spacing,
        beta=beta,
    )


def exact(problem):
    """(L + diag gamma) x = gamma p with fixed voxels, set up one edge at a time and solved by scipy."""
    shape = tuple(problem.gamma.shape)
    n = int(np.prod(shape))
    number = np.arange(n).reshape(shape)
    features, weights = problem.features.double().numpy(), problem.feature_weights.double().numpy()
    pairs, distances, factors = [], [], []
    for axis in range(3):
        first, second = (np.take(number, range(k, shape[axis] - 1 + k), axis).ravel() for k in (0, 1))
        flat = features.reshape(len(features), -1)
        pairs.append(np.stack([first, second], axis=1))
        distances.append((weights[:, None] * (flat[:, first] - flat[:, second]) ** 2).sum(axis=0))
        factors.append(np.full(len(first), min(problem.spacing) / problem.spacing[axis]))
    pairs, distances, factors = (np.concatenate(parts) for parts in (pairs, distances, factors))
    scale = distances.mean() if distances.mean() > 0 else 1.0
    w = (np.exp(-problem.beta * distances / scale) + EDGE_FLOOR) * factors
    i, j = pairs.T
    adjacency = sparse.coo_matrix((np.r_[w, w], (np.r_[i, j], np.r_[j, i])), shape=(n, n)).tocsr()
    gamma = problem.gamma.double().numpy().ravel()
    system = (sparse.diags(np.asarray(adjacency.sum(axis=1)).ravel() + gamma) - adjacency).tocsr()
    fixed = problem.fixed.numpy().ravel()
    x = problem.prior.double().numpy().reshape(len(problem.prior), -1).copy()
    free = ~fixed
    right = gamma[free, None] * x[:, free].T - system[free][:, fixed] @ x[:, fixed].T
    x[:, free] = spsolve(system[free][:, free].tocsc(), right).T
    return x.reshape(problem.prior.shape)


def chain(features, gamma=0.0):
    """Voxels in a row, the first fixed to class 0 and the last to class 1."""
    n = len(features)
    prior = torch.full((2, 1, 1, n), 0.5)
    prior[:, 0, 0, 0], prior[:, 0, 0, -1] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    fixed = torch.zeros(1, 1, n, dtype=torch.bool)
    fixed[..., [0, -1]] = True
    features = torch.tensor(features, dtype=torch.float32).view(1, 1, 1, n)
    return WalkerProblem(features, torch.ones(1), prior, torch.full((1, 1, n), gamma), fixed, (1.0, 1.0, 1.0))


def test_between_two_seeds_in_a_uniform_chain_the_probability_falls_linearly():
    x = solve_walker(chain([0.0] * 11))
    np.testing.assert_allclose(x[1].ravel(), np.linspace(0, 1, 11), atol=1e-5)
    np.testing.assert_allclose(x[0].ravel(), np.linspace(1, 0, 11), atol=1e-5)


def test_in_an_uneven_chain_it_falls_as_voltage_over_resistors():
    features = [0, 1, 1.5, 1.4, 3, 3.2, 3.1, 5, 5.5]
    squared = np.diff(features) ** 2
    resistance = 1 / (np.exp(-squared / squared.mean()) + EDGE_FLOOR)
    expected = np.r_[0, np.cumsum(resistance)] / resistance.sum()
    np.testing.assert_allclose(solve_walker(chain(features))[1].ravel(), expected, atol=1e-4)


def test_the_boundary_settles_at_the_strongest_edge():
    x = solve_walker(chain([0, 0.1, 0, 0.1, 0, 0.1, 5, 5.1]))
    assert (x[1].ravel() > 0.5).tolist() == [False] * 6 + [True] * 2


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.8, 0.8), (1.0, 4.0, 2.0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_agrees_with_a_sparse_solver(spacing, seed):
    problem = a_problem((6, 7, 9), spacing, seed=seed)
    np.testing.assert_allclose(solve_walker(problem), exact(problem), atol=1e-3)


def test_it_agrees_where_hardly_any_prior_holds_it():
    problem = a_problem((5, 8, 8), (3.0, 1.0, 1.0), gamma=(1e-3, 2e-3), fixed_share=0.02)
    np.testing.assert_allclose(solve_walker(problem), exact(problem), atol=1e-3)


def test_a_larger_box_goes_through_half_the_resolution_and_ends_where_the_sparse_solver_does():
    # Smooth features and a prior as weak as near strokes: the case the coarse grid is for.
    shape = (20, 36, 36)
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = torch.from_numpy((k**2 + j**2 + i**2 < 0.5).astype(np.float32))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    vague = 0.5 + 0.2 * (inside - 0.5) + 0.05 * noise
    fixed = torch.zeros(shape, dtype=torch.bool)
    fixed[10, 18, 14:22] = fixed[10, 2, 10:26] = True
    prior = torch.stack([1 - vague, vague]).clamp(0.01, 0.99)
    prior[:, 10, 18, 14:22] = torch.tensor([0.0, 1.0])[:, None]
    prior[:, 10, 2, 10:26] = torch.tensor([1.0, 0.0])[:, None]
    features = (3 * inside + 0.3 * noise)[None]
    problem = WalkerProblem(features, torch.ones(1), prior, torch.full(shape, 0.02), fixed, (1.2, 1.0, 1.0))
    found, expected = solve_walker(problem).numpy(), exact(problem)
    assert np.abs(found - expected).mean() < 0.01
    assert ((found[1] > 0.5) == (expected[1] > 0.5)).mean() > 0.999
    assert ((found[1] > 0.5) == inside.numpy().astype(bool)).mean() > 0.99


@pytest.mark.parametrize("shape", [(6, 7, 9), (20, 36, 36), (1, 170, 130)])
def test_fixed_voxels_keep_their_values_and_probabilities_sum_to_one(shape):
    problem = a_problem(shape)
    x = solve_walker(problem)
    torch.testing.assert_close(x[:, problem.fixed], problem.prior[:, problem.fixed], atol=1e-6, rtol=0)
    torch.testing.assert_close(x.sum(dim=0), torch.ones(shape), atol=2e-3, rtol=0)
    assert x.min() > -2e-3
    assert x.max() < 1 + 2e-3


def test_with_everything_fixed_nothing_moves():
    problem = a_problem((4, 4, 4), fixed_share=2.0)
    assert torch.equal(solve_walker(problem), problem.prior)


def test_a_strong_prior_decides_alone():
    problem = a_problem((5, 5, 5), gamma=(1e5, 1e5), fixed_share=0)
    torch.testing.assert_close(solve_walker(problem), problem.prior, atol=1e-3, rtol=0)


@pytest.mark.parametrize("shape", [(6, 7, 9), (20, 36, 36)])
def test_the_same_problem_gives_the_same_bits_and_is_left_as_it_was(shape):
    problem = a_problem(shape)
    before = [t.clone() for t in (problem.features, problem.prior, problem.gamma)]
    assert torch.equal(solve_walker(problem), solve_walker(problem))
    assert all(torch.equal(a, b) for a, b in zip(before, (problem.features, problem.prior, problem.gamma)))


def test_thick_slices_are_coupled_more_weakly():
    problem = a_problem((3, 3, 3), (4.0, 1.0, 2.0))
    flat = WalkerProblem(
        torch.zeros(1, 3, 3, 3), torch.ones(1), problem.prior, problem.gamma, problem.fixed, problem.spacing
    )
    assert [round(float(w.mean()), 6) for w in edge_weights(flat)] == [
        pytest.approx((1 + EDGE_FLOOR) * f, abs=1e-5) for f in (0.25, 1.0, 0.5)
    ]


def test_it_can_be_cancelled_at_any_step():
    asked = []

    def after(n):
        asked.clear()
        return lambda: asked.append(1) or len(asked) > n

    for n in (0, 1, 5):
        with pytest.raises(Cancelled):
            solve_walker(a_problem((20, 36, 36)), should_cancel=after(n))


def with_features_as_edges(problem, channels):
    """The same problem with the squared differences of some features handed over instead of the features."""
    more = []
    for axis in range(3):
        steps = problem.features[channels].diff(dim=axis + 1).square()
        squared = (steps * problem.feature_weights[channels].view(-1, 1, 1, 1)).sum(dim=0)
        more.append(squared if squared.numel() else None)
    rest = problem.features.clone()
    rest[channels] = 0.0
    return replace(problem, features=rest, more=tuple(more))


@pytest.mark.parametrize("channels", [[1], [0], [0, 1]])
@pytest.mark.parametrize("shape", [(6, 7, 9), (1, 8, 9), (5, 1, 6)])
def test_squared_differences_count_as_the_features_they_come_from(channels, shape):
    problem = a_problem(shape, (2.5, 0.8, 0.8))
    handed_over = with_features_as_edges(problem, channels)
    for a, b in zip(edge_weights(problem), edge_weights(handed_over)):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(solve_walker(handed_over), solve_walker(problem), atol=1e-4, rtol=0)
    np.testing.assert_allclose(solve_walker(handed_over), exact(problem), atol=1e-3)


def test_squared_differences_along_one_axis_alone_cut_only_there():
    problem = a_problem((4, 5, 6))
    flat = replace(problem, features=torch.zeros(1, 4, 5, 6), feature_weights=torch.ones(1))
    cut = torch.zeros(4, 4, 6)
    cut[:, 1] = 1.0
    weights = edge_weights(replace(flat, more=(None, cut, None)))
    mean = cut.sum() / (3 * 5 * 6 + 4 * 4 * 6 + 4 * 5 * 5)
    assert all(w.eq(1 + EDGE_FLOOR).all() for w in (weights[0], weights[2], weights[1][:, [0, 2, 3]]))
    torch.testing.assert_close(weights[1][:, 1], torch.full((4, 6), float(torch.exp(-1 / mean)) + EDGE_FLOOR))


def smooth(shape, channels=2, seed=0):
    """Features that change as slowly as a network's, whose coarse grid is some ten times coarser than the image."""
    nodes = torch.randn(1, channels, *[n // 5 + 2 for n in shape], generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(nodes, size=shape, mode="trilinear", align_corners=True)[0]


@pytest.mark.parametrize("shape", [(20, 36, 36), (21, 37, 35), (1, 170, 130)])
def test_squared_differences_survive_the_coarse_levels(shape):
    problem = a_problem(shape, gamma=(1e-3, 1e-3), fixed_share=0.001, classes=2)
    prior = torch.where(problem.fixed, problem.prior, 0.5)  # only the few fixed voxels and the edges decide
    problem = replace(problem, prior=prior, features=smooth(shape))
    assert _halve(problem) is not None
    by_features, by_edges = (solve_walker(p)[0] for p in (problem, with_features_as_edges(problem, [0, 1])))
    assert float((by_features - by_edges).abs().mean()) < 0.08 * float((by_features - 0.5).abs().mean())
    assert float(((by_features > 0.5) == (by_edges > 0.5)).float().mean()) > 0.98


@pytest.mark.parametrize(
    "shape, spacing, factors", [((20, 36, 36), (1.0, 1, 1), (2, 2, 2)), ((12, 45, 41), (5.0, 1, 1), (1, 2, 2))]
)
def test_a_coarse_voxel_sees_the_change_over_its_whole_length(shape, spacing, factors):
    ramps = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij"))
    ramps *= torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    problem = replace(a_problem(shape, spacing), features=ramps, feature_weights=torch.ones(3))
    coarse = _halve(with_features_as_edges(problem, [0, 1, 2]))
    for axis, (field, factor) in enumerate(zip(coarse.more, factors)):
        expected = [-(-n // f) - (a == axis) for a, (n, f) in enumerate(zip(shape, factors))]
        assert list(field.shape) == expected == [n - (a == axis) for a, n in enumerate(coarse.gamma.shape)]
        torch.testing.assert_close(field, torch.full(expected, ((axis + 1.0) * factor) ** 2))


def test_what_has_no_squared_differences_has_none_on_the_coarse_level_either():
    shape = (1, 170, 130)
    problem = replace(a_problem(shape), more=(None, torch.ones(1, 169, 130), None))
    coarse = _halve(problem)
    assert coarse.more[0] is None and coarse.more[2] is None
    assert coarse.more[1].shape == (1, 84, 65)
    assert solve_walker(problem).isfinite().all()


@pytest.mark.parametrize("shape", [(6, 7, 9), (20, 36, 36)])
def test_one_class_fewer_is_solved_and_the_last_is_what_remains(shape):
    problem = a_problem(shape, classes=4)
    every = solve_walker(problem)
    some = solve_walker(replace(problem, prior=problem.prior[:-1]))
    torch.testing.assert_close(some, every[:-1])
    torch.testing.assert_close(1 - some.sum(dim=0), every[-1], atol=2e-3, rtol=0)


def test_the_squared_differences_are_left_as_they_were():
    problem = with_features_as_edges(a_problem((20, 36, 36)), [0])
    before = [m.clone() for m in problem.more]
    assert torch.equal(solve_walker(problem), solve_walker(problem))
    assert all(torch.equal(a, b) for a, b in zip(before, problem.more))

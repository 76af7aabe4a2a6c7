"""Tuning makes the network obey the strokes, and the recipe that protects leaves the rest as it was."""

import math

import numpy as np
import pytest

from InteractiveRefineLib.errors import Cancelled
from InteractiveRefineLib.settings import RefineSettings

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812

from InteractiveRefineLib.tuning import TuningProblem, anchors, tune  # noqa: E402
from InteractiveRefineLib.tuning.anchors import anchor_weights, choose_anchors, similarity_to_strokes  # noqa: E402
from InteractiveRefineLib.tuning.rules import UPDATE_RULES  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


class Head:
    """A linear head over given features as the tuned part: logits = features @ weight.T (+ bias)."""

    def __init__(self, *initial):
        self.initial = [torch.tensor(p, dtype=torch.float32) for p in initial]

    def over(self, features):
        features = torch.as_tensor(features, dtype=torch.float32)
        return lambda values: F.linear(features, values[0], values[1] if len(values) > 1 else None)


def a_problem(head, strokes, wanted, anchor_features, weights=None):
    """Strokes and anchors by their features; the teacher is what the head says at first."""
    at_anchors = head.over(anchor_features)
    n = len(anchor_features)
    return TuningProblem(
        part=head,
        to_classes=lambda output: output,
        at_strokes=head.over(strokes),
        wanted=torch.tensor(wanted),
        at_anchors=at_anchors,
        teacher=at_anchors(head.initial).softmax(dim=1),
        anchor_weights=torch.full((n,), 1 / n) if weights is None else torch.tensor(weights),
    )


def two_organs():
    """Feature 0 tells class 0 (left) from class 1 (right); the strokes lie left, stand out in feature 1 and want 1."""
    generator = torch.Generator().manual_seed(0)
    anchor_features = torch.randn(400, 2, generator=generator) * torch.tensor([1.0, 0.1])
    strokes = torch.tensor([[-2.0, 2.0], [-2.4, 2.1], [-1.6, 1.9]])
    return a_problem(Head([[-1.0, 0.0], [1.0, 0.0]], [0.0, 0.0]), strokes, [1, 1, 1], anchor_features)


def divergence(problem, values):
    """Mean KL(teacher || tuned) at the anchors."""
    log_probability = problem.anchor_logits(values).log_softmax(dim=1)
    return float(F.kl_div(log_probability, problem.teacher, reduction="batchmean"))


def turned(problem, values):
    """Share of the anchors whose class is another one than the teacher's."""
    return float((problem.anchor_logits(values).argmax(dim=1) != problem.teacher.argmax(dim=1)).float().mean())


def run(problem, update="protected", **changes):
    return tune(problem, RefineSettings(update=update, **changes))


def test_the_protecting_update_obeys_the_strokes_and_keeps_the_anchors():
    problem = two_organs()
    assert problem.violated(problem.stroke_logits(problem.part.initial)).all()
    protected = run(problem, steps=300)
    cross_entropy = run(problem, "cross-entropy", steps=300)
    assert protected.violated == cross_entropy.violated == 0
    assert divergence(problem, protected.values) < 0.03
    assert divergence(problem, cross_entropy.values) > 4 * divergence(problem, protected.values)
    assert turned(problem, protected.values) < 0.1 and turned(problem, cross_entropy.values) > 0.25


def test_the_protecting_loss_is_balanced_cross_entropy_plus_five_times_the_divergence():
    head = Head([[1.0, 0.0], [0.0, 1.0]])
    problem = a_problem(head, [[1, 0], [1, 0], [1, 0], [0, 1]], [0, 0, 0, 1], [[1, 0], [0, 2]], [0.25, 0.75])
    values = [torch.tensor([[2.0, 0.0], [0.0, 1.0]])]
    stroke_losses = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1))]  # of class 0 and of class 1
    t, p = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2))  # of the first anchor; the second one did not change
    divergence_there = t * math.log(t / p) + (1 - t) * math.log((1 - t) / (1 - p))
    loss, reported = UPDATE_RULES["protected"].objective(problem, values, head.initial, 0.1)
    assert float(loss) == pytest.approx(sum(stroke_losses) / 2 + 5 * 0.25 * divergence_there, rel=1e-5)
    assert float(reported) == float(loss)


def test_every_class_of_strokes_weighs_the_same():
    problem = a_problem(Head([[1.0], [0.0], [0.0]]), [[1]] * 4, [0, 0, 0, 2], [[1]])
    assert problem.balanced_weights().tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_a_stroke_is_violated_when_another_class_is_more_likely():
    problem = a_problem(Head([[1.0], [0.0]]), [[1], [1], [-1]], [0, 1, 0], [[1]])
    assert problem.violated(problem.stroke_logits(problem.part.initial)).tolist() == [False, True, True]


def test_the_share_of_the_strokes_that_stays_wrong_counts_every_class_the_same():
    problem = a_problem(Head([[1.0], [0.0], [0.0]]), [[1]] * 3 + [[-1]], [0, 0, 1, 0], [[1]])
    outcome = run(problem, steps=0)  # of class 0 one of three is wrong, of class 1 all
    assert outcome.violated == 2 and outcome.wrong_share == pytest.approx((1 / 3 + 1) / 2)
    assert run(two_organs(), steps=300).wrong_share == 0


def by_hand():
    """One feature, two classes, no bias: W = (1, 0); one stroke (feature 1, wants class 1), one anchor (feature 2)."""
    return a_problem(Head([[1.0], [0.0]]), [[1]], [1], [[2]])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_the_first_step_of_the_paper_is_g_times_the_slope_of_the_likelihood_and_nothing_else():
    # Psi is the mean of log p(current answer), class 0 at both voxels; d log p0 / dW0 = feature * (1 - p0).
    g = math.log(1 + math.exp(1))  # cross-entropy of the violated stroke
    slope = (1 * (1 - sigmoid(1)) + 2 * (1 - sigmoid(2))) / 2
    rate = 0.1
    outcome = run(by_hand(), "paper", steps=1, learning_rate=rate, alpha=1000.0)
    expected = [1 - rate * g * slope, rate * g * slope]
    assert outcome.values[0].flatten().tolist() == pytest.approx(expected, rel=1e-5)
    assert outcome.loss_curve[0] == pytest.approx(g, rel=1e-6)


@pytest.mark.parametrize("update", ["paper", "cross-entropy"])
def test_at_the_first_step_the_pull_to_the_original_weights_is_zero_and_not_nan(update):
    problem = by_hand()
    gradients = []
    for alpha in (0.0, 1e6):
        values = [p.clone().requires_grad_(True) for p in problem.part.initial]
        UPDATE_RULES[update].objective(problem, values, problem.part.initial, alpha)[0].backward()
        gradients.append(values[0].grad)
    assert torch.isfinite(gradients[0]).all() and gradients[0].abs().min() > 0
    assert torch.equal(gradients[0], gradients[1])


@pytest.mark.parametrize(("update", "sign"), [("paper", -1), ("cross-entropy", 1)])
def test_later_the_pull_has_length_alpha_and_its_printed_sign(update, sign):
    problem = by_hand()
    initial = problem.part.initial
    gradients = []
    for alpha in (0.0, 0.5):
        values = [(initial[0] + torch.tensor([[0.03], [0.04]])).requires_grad_(True)]
        UPDATE_RULES[update].objective(problem, values, initial, alpha)[0].backward()
        gradients.append(values[0].grad)
    difference = (gradients[1] - gradients[0]).flatten().tolist()
    assert difference == pytest.approx([sign * 0.5 * 0.6, sign * 0.5 * 0.8], rel=1e-4)


def test_the_papers_loop_stops_as_soon_as_no_stroke_is_violated():
    outcome = run(by_hand(), "paper", steps=100, learning_rate=0.1)
    assert outcome.violated == 0
    assert 1 < len(outcome.loss_curve) < 100
    one_less = run(by_hand(), "paper", steps=len(outcome.loss_curve) - 2, learning_rate=0.1)
    assert one_less.violated == 1


@pytest.mark.parametrize("update", ["paper", "cross-entropy"])
def test_satisfied_strokes_change_nothing(update):
    problem = a_problem(Head([[1.0], [0.0]]), [[1]], [0], [[2]])
    outcome = run(problem, update)
    assert torch.equal(outcome.values[0], problem.part.initial[0])
    assert len(outcome.loss_curve) == 1


@pytest.mark.parametrize("update", UPDATE_RULES)
def test_no_step_gives_the_initial_weights(update):
    problem = two_organs()
    outcome = run(problem, update, steps=0)
    assert all(torch.equal(v, p) for v, p in zip(outcome.values, problem.part.initial))
    assert (outcome.violated, len(outcome.loss_curve), outcome.notes) == (3, 1, [])


@pytest.mark.parametrize(("update", "steps"), [("protected", 30), ("cross-entropy", 100), ("paper", 100)])
def test_the_rules_have_the_measured_defaults(update, steps):
    assert UPDATE_RULES[update].steps == steps
    assert UPDATE_RULES[update].learning_rate == 1e-2
    seen = []
    hard = a_problem(Head([[100.0], [0.0]]), [[1]], [1], [[2]])
    outcome = tune(hard, RefineSettings(update=update), progress=lambda *step: seen.append(step))
    assert len(outcome.loss_curve) == steps + 1
    assert [s[:2] for s in seen] == [(n, steps) for n in range(steps + 1)]
    assert seen[3][2] == f"Tuning, loss {outcome.loss_curve[3]:.4f}"


@pytest.mark.parametrize("update", UPDATE_RULES)
def test_tuning_is_deterministic_and_leaves_the_initial_weights_alone(update):
    problem = two_organs()
    before = [p.clone() for p in problem.part.initial]
    one, two = run(problem, update), run(problem, update)
    assert all(torch.equal(a, b) for a, b in zip(one.values, two.values))
    assert one.loss_curve == two.loss_curve
    assert all(torch.equal(p, b) for p, b in zip(problem.part.initial, before))
    assert not any(v.requires_grad for v in one.values)


def test_the_best_iterate_is_kept_when_steps_are_too_large():
    problem = two_organs()
    outcome = run(problem, learning_rate=3.0, steps=12)
    best = min(outcome.loss_curve)
    assert outcome.loss_curve[-1] > best, "the last iterate must not be the best one for this test to mean anything"
    found, _ = UPDATE_RULES["protected"].objective(problem, outcome.values, problem.part.initial, 0.1)
    assert float(found) == best


def going_wrong(problem, at_call, how):
    """The problem, whose stroke logits go wrong at one call."""
    calls = []

    def at_strokes(values):
        calls.append(1)
        logits = problem.at_strokes(values)
        return how(logits, values) if len(calls) == at_call else logits

    return TuningProblem(**{**vars(problem), "at_strokes": at_strokes})


def not_a_number(logits, values):
    return logits * math.nan


def infinite(logits, values):
    return logits * math.inf


def no_gradient(logits, values):
    """A fine value with a gradient that is not a number, as a square root has at zero."""
    return logits + (values[0] - values[0].detach()).abs().sum().sqrt()


@pytest.mark.parametrize(("how", "steps"), [(not_a_number, 3), (infinite, 3), (no_gradient, 4)])
def test_tuning_that_goes_wrong_ends_with_the_last_good_weights_and_a_note(how, steps):
    problem = two_organs()
    outcome = run(going_wrong(problem, 4, how))
    assert outcome.notes == [f"Tuning became unstable after {steps} steps; the last good weights were used."]
    assert len(outcome.loss_curve) == steps and all(map(math.isfinite, outcome.loss_curve))
    assert all(torch.equal(a, b) for a, b in zip(outcome.values, run(problem, steps=steps - 1).values))


@pytest.mark.parametrize("update", ["paper", "cross-entropy"])
def test_the_rules_for_comparison_are_guarded_too(update):
    problem = two_organs()
    outcome = run(going_wrong(problem, 5, not_a_number), update)  # they look at the strokes twice in each step
    assert outcome.notes == ["Tuning became unstable after 2 steps; the last good weights were used."]
    assert all(torch.isfinite(v).all() for v in outcome.values)
    assert all(torch.equal(a, b) for a, b in zip(outcome.values, run(problem, update, steps=1).values))


@pytest.mark.parametrize("step", range(4))
def test_tuning_can_be_cancelled_at_each_step(step):
    asked, done = [], []

    def cancel():
        asked.append(1)
        return len(asked) == step + 1

    with pytest.raises(Cancelled, match="the previous segmentation is unchanged"):
        tune(two_organs(), RefineSettings(steps=3), progress=lambda n, *_: done.append(n), should_cancel=cancel)
    assert done == list(range(step))


LABELS = np.array([[[0, 0, 0, 0], [1, 1, 1, 2]]])


def test_anchors_are_all_voxels_without_a_stroke_sorted_by_class():
    excluded = LABELS == 2
    excluded[0, 0, 1] = True
    chosen = choose_anchors(LABELS, excluded, np.random.default_rng(0))
    assert chosen.tolist() == [[0, 0, 0], [0, 0, 2], [0, 0, 3], [0, 1, 0], [0, 1, 1], [0, 1, 2]]


def test_anchors_are_a_sample_of_every_class_and_the_same_for_the_same_seed(monkeypatch):
    monkeypatch.setattr(anchors, "BACKGROUND_ANCHORS", 5)
    monkeypatch.setattr(anchors, "CLASS_ANCHORS", 3)
    labels = np.random.default_rng(1).integers(0, 3, (6, 6, 6))
    one, two, other = (choose_anchors(labels, labels < 0, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.bincount(labels[tuple(one.T)]).tolist() == [5, 3, 3]
    assert len(np.unique(one, axis=0)) == 11
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_no_voxel_left_means_no_anchor():
    assert choose_anchors(LABELS, LABELS >= 0, np.random.default_rng(0)).shape == (0, 3)


def test_what_looks_like_a_stroke_is_held_less_and_every_class_weighs_the_same():
    weights = anchor_weights(torch.tensor([0.0, 0.5, 0.0, 1.0]), np.array([0, 0, 1, 1]))
    assert weights.tolist() == pytest.approx([1 / 3, 1 / 6, 1 / 2, 0])


def test_a_class_that_looks_like_strokes_everywhere_is_not_held():
    assert anchor_weights(torch.tensor([0.0, 1.0, 1.0]), np.array([0, 1, 1])).tolist() == pytest.approx([1, 0, 0])


def test_similarity_falls_with_the_mean_squared_distance_to_the_nearest_stroke():
    strokes = torch.tensor([[0.0, 0.0], [5.0, 5.0]])
    found = similarity_to_strokes(torch.tensor([[0.0, 0.0], [0.7, 0.7], [5.0, 4.0]]), strokes)
    assert found.tolist() == pytest.approx([1, math.exp(-0.5), math.exp(-0.5 / (2 * 0.49))], rel=1e-4)


def test_without_strokes_nothing_is_similar():
    assert similarity_to_strokes(torch.ones(3, 2), torch.zeros(0, 2)).tolist() == [0, 0, 0]


def test_of_very_many_strokes_an_even_selection_is_compared(monkeypatch):
    monkeypatch.setattr(anchors, "_MAX_STROKES", 3)
    strokes = torch.arange(9.0)[:, None]  # 0, 3 and 6 are taken
    assert similarity_to_strokes(torch.tensor([[3.0], [4.4]]), strokes)[0] == 1
    expected = math.exp(-(1.4**2) / (2 * 0.49))
    assert float(similarity_to_strokes(torch.tensor([[4.4]]), strokes)[0]) == pytest.approx(expected, rel=1e-3)

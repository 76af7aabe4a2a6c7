"""Our optimizers take the very steps of torch's, without importing torch's compiler."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.tuning.optimizers import Adam, GradientDescent  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def path_of(optimizer_class, steps=25):
    """Parameters after each of some steps down a bent valley; the second parameter has no gradient in odd steps."""
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(4, 3, generator=generator).requires_grad_(True), torch.ones(2, requires_grad=True)]
    optimizer = optimizer_class(values, 1e-2)
    path = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = (values[0] ** 4).sum() + values[0].sum() ** 2
        if step % 2 == 0:
            loss = loss + (values[1] * torch.tensor([1.0, 5.0])).sum() ** 2
        loss.backward()
        optimizer.step()
        path.append([v.detach().clone() for v in values])
    return path


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (Adam, lambda p, r: torch.optim.Adam(p, lr=r, foreach=False)),
        (GradientDescent, lambda p, r: torch.optim.SGD(p, lr=r, foreach=False)),
    ],
)
def test_every_step_equals_torchs_to_the_last_bit(ours, theirs):
    for mine, expected in zip(path_of(ours), path_of(theirs)):
        assert all(torch.equal(a, b) for a, b in zip(mine, expected))


def test_a_refinement_does_not_import_torchs_compiler():
    code = """
import sys
from Testing.tests.session_examples import MISSED, a_session, constraints_for
session = a_session()
assert session.refine(constraints_for(session, (MISSED, 1))).violated_strokes == 0
assert "torch._dynamo" not in sys.modules, "torch._dynamo"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

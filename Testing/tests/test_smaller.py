"""When memory runs out: smaller windows, then the CPU, and the user is told each time."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.device import Devices  # noqa: E402
from InteractiveRefineLib.errors import OnCpuOnlyError, OutOfMemoryError  # noqa: E402
from InteractiveRefineLib.smaller import run_smaller, smaller_attempts  # noqa: E402
from Testing.tests.session_examples import a_backbone, a_session, usual_constraints  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, CUDA = Devices.only(torch.device("cpu")), Devices.only(torch.device("cuda"))


def names(where):
    """Such as "cuda", or "cuda, cpu" where only the network runs on the card."""
    return ", ".join(dict.fromkeys((where.network.type, where.fields.type)))


def attempts(device=CPU, **changes):
    tried = smaller_attempts(a_backbone(**changes), device)
    return [(backbone.config.patch_size, names(where), sentence) for backbone, where, sentence in tried]


def test_the_image_leaves_the_card_then_the_network_then_windows_are_halved_along_their_longest_sides_twice():
    sizes = [(patch, where) for patch, where, _ in attempts(CUDA, patch_size=(64, 48, 16), divisible_by=8)]
    first, second = (32, 24, 16), (16, 16, 16)
    assert sizes == [((64, 48, 16), "cuda, cpu"), ((64, 48, 16), "cpu"), (first, "cpu"), (second, "cpu")]


def test_halved_windows_stay_multiples_of_what_the_network_divides_by():
    assert [patch for patch, *_ in attempts(patch_size=(48, 48, 48), divisible_by=16)] == [(32, 32, 32)]
    assert attempts(patch_size=(16, 16, 16), divisible_by=16) == []


@pytest.mark.parametrize("changes", [{}, {"patch_size": (8, 8, 8), "spatial_shape": (16, 16, 16)}])
def test_networks_that_see_all_at_once_have_no_smaller_windows(changes):
    assert attempts(**changes) == []
    (_, first, _), (_, second, sentence) = attempts(CUDA, **changes)
    assert (first, second) == ("cuda, cpu", "cpu") and "The graphics card has too little memory" in sentence


class Hungry(torch.nn.Module):
    """A network that runs out of memory on inputs of more voxels than `limit`."""

    def __init__(self, network, limit):
        super().__init__()
        self.network, self.limit = network, limit

    def forward(self, x):
        if x[0, 0].numel() > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return self.network(x)


def hungry(limit):
    backbone = a_backbone(patch_size=(32, 16, 16))
    return a_backbone(Hungry(backbone.network, limit), patch_size=(32, 16, 16))


def test_a_round_goes_on_with_smaller_windows_and_says_so_once():
    session = a_session(backbone=hungry(16 * 16 * 16))
    constraints = usual_constraints(session)
    result = session.refine(constraints)
    assert result.violated_strokes == 0
    told = [w for w in result.warnings if "Memory ran out" in w]
    assert [t.split("(I")[0] for t in told] == [
        "Memory ran out; the network's windows were halved to 16 x 16 x 16 voxels "
    ]
    expected = a_session(backbone=a_backbone(patch_size=(16, 16, 16)))
    assert np.array_equal(result.labels, expected.refine(usual_constraints(expected)).labels)
    assert not [w for w in session.refine(constraints).warnings if "Memory ran out" in w]


def test_when_nothing_smaller_is_left_it_is_an_error_and_nothing_is_lost():
    session = a_session(backbone=hungry(100))
    with pytest.raises(OutOfMemoryError, match="the segmentation is unchanged"):
        session.predict()


def test_from_a_full_graphics_card_the_work_goes_to_the_cpu(monkeypatch):
    import InteractiveRefineLib.session as module

    real, tried = module.NetworkState, []

    def state(frame, backbone, layers, device, *, run_on, **more):
        tried.append((device.type, run_on.type))
        if run_on.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(frame, backbone, layers, device, run_on=run_on, **more)

    monkeypatch.setattr(module, "NetworkState", state)
    session = a_session()
    session._devices = CUDA
    result = session.refine(usual_constraints(session))
    assert tried == [("cuda", "cuda"), ("cpu", "cuda"), ("cpu", "cpu")] and result.violated_strokes == 0
    assert "The graphics card has too little memory; everything is computed on the CPU, slower." in result.warnings


def refused_on(*devices, then=lambda: None):
    """What `run_smaller` used, one after the other, for a network that refuses to run on these devices."""
    used, where = [], ["cuda"]

    def work():
        if where[-1] in devices:
            raise OnCpuOnlyError("refused")
        return then()

    def use(backbone, devices, sentence):
        where.append(names(devices))
        used.append((names(devices), sentence))

    return run_smaller(work, a_backbone(), CUDA, use), used


def test_a_network_that_cannot_use_the_graphics_card_runs_on_the_cpu():
    result, ((device, sentence),) = refused_on("cuda", then=lambda: "labels")
    assert result == "labels" and device == "cpu"
    assert "cannot run on the graphics card" in sentence


def test_a_network_that_runs_nowhere_is_an_error():
    with pytest.raises(OnCpuOnlyError, match="refused"):
        refused_on("cuda", "cpu")


def test_back_on_the_cpu_it_computes_as_the_cpu_always_does():
    assert torch.get_deterministic_debug_mode() == 0
    on_cpu, _ = refused_on("cuda", then=torch.get_deterministic_debug_mode)
    on_card, _ = refused_on(then=torch.get_deterministic_debug_mode)
    assert (on_cpu, on_card) == (0, 1)


def test_a_full_card_and_then_a_refusal_on_the_cpu_is_an_error():
    tried = []

    def work():
        raise OnCpuOnlyError("refused") if "cpu" in tried else torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OnCpuOnlyError, match="refused"):
        run_smaller(work, a_backbone(), CUDA, lambda backbone, devices, sentence: tried.append(names(devices)))
    assert tried == ["cuda, cpu", "cpu"]

"""The pretended graphics card refuses what a real one refuses, and computes what the processor computes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from Testing.pretend_cuda import pretend_cuda  # noqa: E402
from Testing.tests.network_examples import (  # noqa: E402
    UNet3d,
    noise,
    randomized,
    scripted,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CUDA = torch.device("cuda:0")


class TestTheCard:
    def test_it_is_there_inside_only(self):
        before = torch.cuda.is_available()
        with pretend_cuda():
            assert torch.cuda.is_available() and torch.cuda.device_count() == 1
            assert torch.zeros(2, device="cuda").device == CUDA
        assert torch.cuda.is_available() == before

    @pytest.mark.parametrize("made", [
        lambda: torch.tensor([1.0, 2.0], device="cuda"),
        lambda: torch.as_tensor(np.array([1.0, 2.0]), device="cuda"),
        lambda: torch.tensor([1.0, 2.0]).to("cuda"),
        lambda: torch.tensor([1.0, 2.0]).cuda(),
        lambda: torch.arange(1.0, 3.0, device="cuda:0"),
        lambda: torch.zeros(3, device="cuda").new_tensor([1.0, 2.0]),
        lambda: torch.tensor([3.0, 1.0, 2.0], device="cuda")[[1, 2]],
    ])  # fmt: skip
    def test_however_a_tensor_gets_there_it_comes_back_with_its_values(self, card, made):
        tensor = made()
        assert tensor.is_cuda and tensor.device == card
        assert not tensor.cpu().is_cuda
        assert tensor.tolist() == tensor.cpu().numpy().tolist() == [1.0, 2.0]
        assert tensor.sum().item() == 3.0 and bool(tensor.max() == 2.0)

    @pytest.mark.parametrize("mixed", [
        lambda a: a + torch.ones(3),
        lambda a: a.copy_(a + 1).addcmul_(a, torch.tensor(1.0)),
        lambda a: torch.cat([a, torch.ones(1, 3)]),
        lambda a: a @ torch.ones(3, 1),
        lambda a: a.gather(0, torch.zeros(1, 3, dtype=torch.int64)),
        lambda a: a.index_select(0, torch.tensor([0])),
        lambda a: torch.zeros(2, 3).scatter_(0, torch.zeros(1, 3, dtype=torch.int64), a),
        lambda a: a.masked_fill(torch.ones(2, 3, dtype=torch.bool), 0.0),
        lambda a: torch.where(torch.ones(2, 3, dtype=torch.bool), a, 0.0),
        lambda a: torch.ones(3)[a[0].long()],
        lambda a: nn.functional.conv1d(a[None], torch.ones(1, 2, 1)),
        lambda a: torch.ones(3).mul_(a[0]),
    ])  # fmt: skip
    def test_operands_on_two_devices_are_refused(self, card, mixed):
        with pytest.raises(RuntimeError, match=r"same device"):
            mixed(torch.arange(6.0, device=card).view(2, 3))

    @pytest.mark.parametrize("taken", [
        lambda a: a[torch.tensor([1, 0])],
        lambda a: a[torch.tensor([True, False])],
        lambda a: a * torch.tensor(2.0),
        lambda a: a.masked_fill(a > 2, torch.tensor(7.0)),
        lambda a: torch.where(a > 2, a, torch.tensor(7.0)),
        lambda a: a.index_put((torch.tensor([0]),), torch.tensor(5.0)),
    ])  # fmt: skip
    def test_indices_and_numbers_on_the_processor_are_taken_as_cuda_takes_them(self, card, taken):
        values = torch.arange(6.0).view(2, 3)
        found = taken(values.to(card))
        assert found.is_cuda
        assert torch.equal(found.cpu(), taken(values))

    @pytest.mark.parametrize("read", [np.asarray, lambda a: np.maximum(a, 0), lambda a: a.numpy()])
    def test_numpy_cannot_read_it(self, card, read):
        with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
            read(torch.ones(3, device=card))

    def test_integers_are_not_multiplied_as_matrices(self, card):
        with pytest.raises(NotImplementedError, match='"mm_cuda" not implemented'):
            torch.ones(2, 2, dtype=torch.int64, device=card) @ torch.ones(2, 2, dtype=torch.int64, device=card)

    def test_a_generator_of_the_processor_is_refused(self, card):
        with pytest.raises(RuntimeError, match="'cuda' device type for generator"):
            torch.rand(3, device=card, generator=torch.Generator())

    def test_it_shares_no_memory_with_numpy(self, card):
        array = np.zeros(3)
        tensor = torch.as_tensor(array, device=card)
        array += 1
        tensor.cpu().numpy()[:] = 5
        assert tensor.tolist() == [0.0, 0.0, 0.0]

    def test_views_share_memory_and_tell_so(self, card):
        whole = torch.zeros(2, 3, device=card)
        row, before = whole[1], whole._version
        row[1:].add_(1)
        torch.mul(row, 2, out=whole[0])
        row.unsqueeze_(0)
        assert row.shape == (1, 3)
        assert whole.tolist() == [[0.0, 2.0, 2.0], [0.0, 1.0, 1.0]]
        assert row.untyped_storage()._cdata == whole.untyped_storage()._cdata != (whole + 0).untyped_storage()._cdata
        assert whole._version > before

    def test_a_network_moves_there_and_back_and_stays_where_it_is(self, card):
        network = randomized(UNet3d())
        before = [p.clone() for p in network.parameters()]
        moved_there = [*network.to("cuda").parameters()]
        assert all(p.is_cuda and isinstance(p, nn.Parameter) for p in moved_there)
        assert all(a is b for a, b in zip(moved_there, network.to(card).parameters()))
        assert all(torch.equal(a, b) for a, b in zip(before, network.cpu().parameters()))

    @pytest.mark.parametrize("form", [lambda network: network, scripted])
    def test_gradients_flow_and_are_those_of_the_processor(self, card, form):
        network, x = form(randomized(UNet3d())), noise(1, 1, 4, 6, 8)
        found = []
        for device in ("cpu", card):
            parameters = [p.requires_grad_() for p in network.to(device).parameters()]
            loss = network(x.to(device)).square().sum()
            found.append([loss.detach(), *torch.autograd.grad(loss, parameters)])
        assert len(found[1]) > 10 and all(g.is_cuda for g in found[1])
        assert all(torch.equal(a, b.cpu()) for a, b in zip(*found))

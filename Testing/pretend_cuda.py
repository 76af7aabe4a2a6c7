"""A graphics card that is not there: tensors that say they lie on "cuda", while the processor computes their values.

Code that runs on both devices fails on the card only, at the first tensor that somebody forgot to move. `pretend_cuda`
finds such places without a card. Inside it torch sees one CUDA device. Its tensors hold an ordinary tensor each; every
operation, also those inside TorchScript and of the backward pass, goes through `_Card`, which refuses what a real card
refuses: operands on two devices (except where CUDA takes them: scalars, indices), numpy, a generator of the processor,
products of integers, and more than there is room for. Torch's own C++ code takes the card for its device "meta", for
which it needs no driver.

What it proves: no operation on the way mixes devices, and nothing relies on a tensor on the device sharing its memory
with a numpy array. What it cannot prove: that CUDA's own kernels give the same numbers, exist for each type, need no
more memory than their results, give the same bits twice, or are fast; the kernels are the processor's. Other threads
see no card, so that workers and batches are not reached; nor are streams and several cards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

_CUDA, _CPU = torch.device("cuda:0"), torch.device("cpu")
#: What torch's own C++ code takes the card for: the one device besides the processor that every build of torch has.
_BELOW = torch.device("meta")
_BYTES = 8 * 2**30
_NO_ROOM = "CUDA out of memory. Tried to allocate {} bytes. GPU 0 has a total capacity of {} bytes."

#: They copy between devices; that is what they are for.
_COPIES = {"_to_copy", "copy_", "_copy_from", "copy"}
#: Indices may lie on the processor, the values of `index_put` also where they are one number.
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
#: Not marked as working on each element by itself, but as patient with a number on the processor.
_TAKE_NUMBERS = {"fill", "fill_", "masked_fill", "masked_fill_", "index_fill", "index_fill_"}
#: Marked so, but their kernels want everything on the card.
_TAKE_NO_NUMBERS = {"addcmul", "addcmul_", "addcdiv", "addcdiv_", "lerp", "lerp_"}
#: cuBLAS and cuDNN know no integers.
_PRODUCTS = {"mm", "bmm", "mv", "dot", "addmm", "addmm_", "addmv", "addmv_", "baddbmm", "baddbmm_", "addr", "linear"}
_PRODUCTS |= {"convolution", "_convolution", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"}


class PretendTensor(torch.Tensor):
    """A tensor of torch that says it lies on cuda:0; `kept` has its values."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, kept: torch.Tensor) -> PretendTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls, kept.shape, strides=kept.stride(), storage_offset=kept.storage_offset(), dtype=kept.dtype,
            device=_BELOW, storage_size=kept.untyped_storage().nbytes(),
        )  # fmt: skip
        made.kept = kept
        return made

    @property
    def device(self) -> torch.device:
        return _CUDA

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_meta(self) -> bool:
        return False

    def tolist(self) -> list:
        return self.detach().cpu().tolist()

    def numpy(self, *, force: bool = False):
        """Refused in torch's own words."""
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )

    def __repr__(self, *, tensor_contents=None) -> str:
        return f"{self.kept!r} on {_CUDA}"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


class Room:
    """How much lies on the card.

    Attributes:
        capacity: bytes; what does not fit is refused as torch refuses it.
        peak: the most bytes that lay there at the same time.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.peak = capacity, 0
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def taken(self) -> int:
        """Bytes of the tensors that still exist, each storage counted once."""
        self._storages = {key: pair for key, pair in self._storages.items() if not pair[0].expired()}
        return sum(size for _, size in self._storages.values())

    def take(self, tensor: torch.Tensor) -> None:
        """Let a tensor's storage lie on the card."""
        storage = tensor.untyped_storage()
        known = self._storages.get(storage._cdata)
        if known is not None and not known[0].expired():
            return
        taken = self.taken() + storage.nbytes()
        if taken > self.capacity:
            raise torch.OutOfMemoryError(_NO_ROOM.format(storage.nbytes(), self.capacity))
        self._storages[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, taken)


_room = Room(_BYTES)


class _Names(TorchFunctionMode):
    """Gives the card the names by which torch's own code does not look for a driver.

    That is its number, and in `Tensor.to` the name below, so that what lies there already is not moved.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.device:
            return func(*args, **kwargs)
        if func is torch.Tensor.cuda:
            func, args, kwargs = torch.Tensor.to, (args[0], _CUDA), {}
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            args = (args[0], _with_tensors(args[1]), *args[2:])
        if func is torch.Tensor.new_tensor:
            func, args, kwargs = torch.tensor, args[1:], {"dtype": args[0].dtype, "device": args[0].device, **kwargs}
        name = _BELOW if func is torch.Tensor.to else _CUDA
        args, kwargs = tree_map(lambda leaf: name if _is_name_of_card(leaf) else leaf, (args, kwargs))
        return func(*args, **kwargs)


class _Card(TorchDispatchMode):
    """Sees every operation; without it, those that make a tensor out of nothing would look for a real card."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # spares the seconds that importing torch's compiler takes
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


def _compute(func, args: tuple, kwargs: dict):
    """One operation as the card would do it."""
    name, leaves = func.overloadpacket.__name__, tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    wanted = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
    on_card = any(isinstance(t, PretendTensor) for t in tensors)
    if on_card and name == "_assert_tensor_metadata" and wanted == _CPU:  # exported programs ask
        raise RuntimeError("Tensor device mismatch! Expected: cpu, Got: cuda:0")
    if on_card and name not in _COPIES:
        _check_devices(func, name, args, tensors)
    to_card = on_card if wanted is None else _is_name_of_card(wanted)
    if to_card:
        _check_kernel(name, tensors, leaves)
    kept_of = {id(t.kept): t for t in tensors if isinstance(t, PretendTensor)}
    plain_args, plain_kwargs = tree_map(_plain, (args, kwargs))
    before = [(t, t.kept.shape, t.kept.stride()) for t in kept_of.values()]
    output = func(*plain_args, **plain_kwargs)
    for t, shape, stride in before:
        if t.kept.shape != shape or t.kept.stride() != stride:  # as unsqueeze_ does
            _lay_out(t, t)
    storages = {t.kept.untyped_storage()._cdata: t for t in kept_of.values()}

    def placed(leaf):
        if not isinstance(leaf, torch.Tensor) or id(leaf) in kept_of:
            return kept_of.get(id(leaf), leaf)
        if not to_card or any(leaf is t for t in tensors):
            return leaf
        _room.take(leaf)
        made = PretendTensor(leaf)
        source = storages.get(leaf.untyped_storage()._cdata)
        if source is not None:
            _lay_out(made, source)
        return made

    return tree_map(placed, output)


def _is_name_of_card(leaf) -> bool:
    return isinstance(leaf, (str, torch.device)) and str(leaf) in ("cuda", "cuda:0", "meta")


def _with_tensors(index):
    """Lists among indices as tensors: out of a list, torch makes none on the device below."""
    if isinstance(index, tuple):
        return tuple(_with_tensors(i) for i in index)
    return torch.as_tensor(np.asarray(index)) if isinstance(index, (list, np.ndarray)) else index


def _plain(leaf):
    if isinstance(leaf, PretendTensor):
        return leaf.kept
    return _CPU if _is_name_of_card(leaf) else leaf


def _lay_out(view: PretendTensor, source: PretendTensor) -> None:
    """Lays `view` out as what it holds, in the source's storage: by it torch and the tape tell what shares memory."""
    kept = view.kept
    with _disable_current_modes():
        inside = torch._C._meta_in_tls_dispatch_include()
        torch._C._set_meta_in_tls_dispatch_include(True)
        try:
            with torch._C._DisableTorchDispatch():
                torch.ops.aten.set_.source_Storage_storage_offset(
                    view, source.untyped_storage(), kept.storage_offset(), kept.shape, kept.stride()
                )
        finally:
            torch._C._set_meta_in_tls_dispatch_include(inside)


def _check_devices(func, name: str, args: tuple, tensors: list[torch.Tensor]) -> None:
    """Raises what CUDA raises where an operand was left on the processor."""
    left = [t for t in tensors if not isinstance(t, PretendTensor)]
    if name in _INDEXING:
        if not isinstance(args[0], PretendTensor):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        indices = [i for i in args[1] if i is not None]
        left = [t for t in left if not any(t is i for i in indices)]
    pointwise = torch.Tag.pointwise in func.tags and name not in _TAKE_NO_NUMBERS
    if pointwise or name in _INDEXING | _TAKE_NUMBERS:
        written = args[0] if name.endswith("_") else None
        left = [t for t in left if t.ndim or t is written]
    if left:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
            f"({func}: {', '.join(f'{tuple(t.shape)} on {t.device}' for t in tensors)})"
        )


def _check_kernel(name: str, tensors: list[torch.Tensor], leaves: list) -> None:
    """Raises where the card lacks what the processor has."""
    if any(isinstance(leaf, torch.Generator) and leaf.device.type == "cpu" for leaf in leaves):
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if name in _PRODUCTS and any(not (t.is_floating_point() or t.is_complex()) for t in tensors):
        raise NotImplementedError(f'"{name}_cuda" not implemented for {tensors[0].dtype}')


def _apply_to_scripted(self, fn, recurse=True):
    """What `Module.to` does; of TorchScript out of a file, torch takes no new parameters, only new values for them."""
    with torch.no_grad():
        for module in self.modules():
            for own in (module._parameters, module._buffers):
                for name, tensor in own.items():
                    if tensor is not None:
                        setattr(module, name, fn(tensor).requires_grad_(tensor.requires_grad))
    return self


@contextmanager
def pretend_cuda(capacity: int = _BYTES) -> Iterator[Room]:
    """Inside, this thread has one CUDA device, "cuda:0", with room for so many bytes."""
    global _room
    _room = room = Room(capacity)
    found = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "mem_get_info": lambda device=None: (capacity - room.taken(), capacity),
        "memory_allocated": lambda device=None: room.taken(),
        "max_memory_allocated": lambda device=None: room.peak,
        "_lazy_init": lambda: None,
        **dict.fromkeys(("synchronize", "empty_cache", "reset_peak_memory_stats"), lambda device=None: None),
    }
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device="cuda") comes by as two operations
    try:
        scripted = mock.patch.object(torch.jit.RecursiveScriptModule, "_apply", _apply_to_scripted)
        with mock.patch.multiple(torch.cuda, **found), scripted, _Card(), _Names():
            yield room
    finally:
        torch._C._set_only_lift_cpu_tensors(False)

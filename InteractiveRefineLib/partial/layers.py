"""Find the last layers of any network in the order in which they are executed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from ..dispatch import PlainDispatchMode
from ..errors import BackboneError

#: Operations that make a layer when one operand is a parameter of two or more dimensions.
_LAYER_OPS = {"convolution", "_convolution", "addmm", "mm", "bmm", "baddbmm", "linear", "matmul", "mkldnn_linear"}


@dataclass(eq=False)
class Layer:
    """One convolution-like or linear operation with the parameters that belong to it.

    Attributes:
        weight: the parameter of two or more dimensions.
        others: its bias and the 1-D parameters (norm affine, PReLU) executed before the next layer.
    """

    weight: torch.Tensor
    others: list[torch.Tensor] = field(default_factory=list)

    @property
    def parameters(self) -> list[torch.Tensor]:
        """Weight first, then the others in execution order."""
        return [self.weight, *self.others]


def first_tensor(output: Any) -> torch.Tensor:
    """The first tensor of a network's output structure: full-resolution logits where there are several."""
    for leaf in tree_leaves(output):
        if isinstance(leaf, torch.Tensor):
            return leaf
    raise BackboneError(f"The network returned {type(output).__name__} without a tensor in it.")


def last_layers(
    run: Callable[[], Any], parameters: list[torch.Tensor], count: int, or_fewer: bool = False
) -> list[Layer]:
    """The last `count` layers that the output depends on, last one last.

    Registration order is wrong for some networks and deep-supervision heads do not reach the output, so the
    network is run once and the graph of executed operations is walked backward from the output.

    Args:
        run: runs the network; its result's first tensor is the output.
        parameters: the network's parameters (the very objects).
        count: the paper's l.
        or_fewer: all layers will do where there are fewer.

    Raises:
        BackboneError: the output depends on fewer layers; the text says how many there are.
    """
    scan = _Scan(parameters)
    with torch.no_grad(), scan:
        output = first_tensor(run())
    if output.is_inference():
        raise BackboneError(
            "The network computes in torch.inference_mode, so that it cannot be tuned. Take that out of its forward."
        )
    layers = scan.layers_reaching(output)
    if not layers:
        raise BackboneError("The network's output depends on no convolution or linear layer that could be tuned.")
    if count > len(layers) and not or_fewer:
        raise BackboneError(f"{count} layers were asked for, but the network has only {len(layers)}; choose fewer.")
    return layers[-count:]


def written_by(func, args: tuple, kwargs: dict) -> list[torch.Tensor]:
    """The tensors that an operation writes into."""
    written = []
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            target = args[index] if index < len(args) else kwargs.get(argument.name)
            written += [t for t in tree_leaves(target) if isinstance(t, torch.Tensor)]
    return written


class _Scan(PlainDispatchMode):
    """Records which operation fed which, and where parameters entered; keeps no activations."""

    def __init__(self, parameters: list[torch.Tensor]) -> None:
        super().__init__()
        self._keep_alive = parameters
        self._parameter_of = WeakIdKeyDictionary()  # parameter, or view of only parameters -> parameters
        for parameter in parameters:
            self._parameter_of[parameter] = [parameter]
        self._producer = WeakIdKeyDictionary()  # tensor -> node
        self._writers = WeakIdKeyDictionary()  # tensor -> nodes that wrote into its memory, one list for all views
        self._nodes: list[tuple[str, list[int], list[torch.Tensor]]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        output = func(*args, **kwargs)
        used = [p for t in inputs for p in self._parameter_of.get(t, ())]
        data = [t for t in inputs if t not in self._parameter_of]
        outputs = [t for t in tree_leaves(output) if isinstance(t, torch.Tensor)]
        if used and not data:  # a transposed, reshaped or cast parameter is still that parameter
            for t in outputs:
                self._parameter_of[t] = used
            return output
        node = len(self._nodes)
        self._nodes.append((func.overloadpacket.__name__, self._sources(data), used))
        for t in outputs:
            source = next((i for i in data if i.untyped_storage()._cdata == t.untyped_storage()._cdata), None)
            if source is not None:  # an in-place operation or a view
                self._writers[t] = self._writers.setdefault(source, [])
        for t in written_by(func, args, kwargs):
            self._writers.setdefault(t, []).append(node)
            self._producer[t] = node
        for t in outputs:
            self._producer[t] = node
        return output

    def _sources(self, tensors: list[torch.Tensor]) -> list[int]:
        return [n for t in tensors for n in ([self._producer[t]] if t in self._producer else [])] + [
            n for t in tensors for n in self._writers.get(t, ())
        ]

    def layers_reaching(self, output: torch.Tensor) -> list[Layer]:
        reachable: set[int] = set()
        pending = self._sources([output])
        while pending:
            node = pending.pop()
            if node not in reachable:
                reachable.add(node)
                pending.extend(self._nodes[node][1])
        # A weight used twice counts where it is used last.
        last_use = {id(p): node for node in sorted(reachable) for p in self._nodes[node][2]}
        layers: list[Layer] = []
        for node in sorted(reachable):
            name, _, used = self._nodes[node]
            fresh = list({id(p): p for p in used if last_use.get(id(p)) == node}.values())
            layers += [Layer(p) for p in fresh if p.ndim >= 2 and name in _LAYER_OPS]
            if layers:
                layers[-1].others += [p for p in fresh if p.ndim < 2]
        return layers

"""BRS and f-BRS: the network's input, or scale and shift of its last features, refined until the strokes are right.

Both keep the network's weights and look for a small change of something else, by back-propagation and L-BFGS:

* **BRS** (Jang & Kim, CVPR 2019) refines the input. The original changes the distance maps of the clicks, which its
  network was trained to read. A network trained without interaction has no such channel, so the image itself gets an
  offset, in units of its standard deviation.
* **f-BRS** (Sofiiuk et al., CVPR 2020) refines one scale and one shift for every channel of an intermediate
  activation, so that only the layers after it run. Here these are the features before the last layer (their variant C).

The energy is theirs with more than two classes: how wrong the strokes are, averaged within every class that has
strokes, plus a weight times the sum of squares of what is refined. All strokes of all rounds count, each round starts
from what the last one found, about 20 evaluations are allowed, as in the f-BRS code (for BRS on the CT, where one takes
5 to 8 s on one core, up to three minutes a round), and nothing is done any more once every stroke is right. What
the network then says is the answer everywhere, as in both papers.

Tried on half "tune", Dice after five rounds. f-BRS, weights of 0.3 / 1: hippocampus .866 / .851, weak network .852 /
.853, missing label .473 / .482, nuclei .591 / .619, MR .717 / .841, tumor .811 / .714; 1 was better in the first
rounds nearly everywhere (tumor .40 / .83) and was taken. Weights of 0.1 to 0.001 obey more strokes and ruin the rest:
in the first round the hippocampus falls from .78 to .33 and .19. Their own squared error in place of the cross-entropy
was no better. BRS, weights of 0.00001 / 0.001: hippocampus .855 / .858, nuclei .673 / .646, where the larger one leaves
a quarter of the strokes wrong. A network that never learned from interaction has no reason to spread such a change
sensibly, and it shows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

from InteractiveRefineLib.backbone import Backbone, load_backbone
from InteractiveRefineLib.backbone.grid import NetworkGrid, flat_axis
from InteractiveRefineLib.backbone.outputs import ClassLogits
from InteractiveRefineLib.decoding.blend import network_labels
from InteractiveRefineLib.errors import BackboneError
from InteractiveRefineLib.image_state import ImageFrame, NetworkState
from InteractiveRefineLib.partial.layers import first_tensor
from InteractiveRefineLib.partial.parts import ConvolutionPart, corners
from InteractiveRefineLib.partial.windows import WindowPlan
from InteractiveRefineLib.volume import Volume
from Testing.evidence.case import Case
from Testing.evidence.method import Drawn, Method

#: How often the energy and its gradient are computed in one round at most.
EVALUATIONS = 20


def stroke_energy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy at strokes, averaged within every class that has some, then over these classes.

    Args:
        logits: (N, classes).
        wanted: (N,) int64.
    """
    counts = torch.bincount(wanted)
    weights = 1.0 / (counts[wanted] * (counts > 0).sum())
    return (weights * F.cross_entropy(logits, wanted, reduction="none")).sum()


def minimize(
    logits_at_strokes: Callable[[Tensor], Tensor], wanted: Tensor, start: Tensor, weight: float, neutral: float | Tensor
) -> Tensor:
    """What L-BFGS finds for the energy `stroke_energy + weight * sum((x - neutral)^2)`, from `start`, same shape.

    As in the f-BRS code a gradient of zero ends the search once every stroke's likeliest class is the wanted one.

    Args:
        logits_at_strokes: from x to logits (N, classes) at the strokes.
        wanted: (N,) int64.
        start: where the search starts.
        weight: of the pull to `neutral`, where the network is as it was trained.
    """
    found = start.clone()

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(flat.astype(np.float32)).view(start.shape).requires_grad_(True)
        logits = logits_at_strokes(x)
        value = stroke_energy(logits, wanted) + weight * ((x - neutral) ** 2).sum()
        found.copy_(x.detach())
        if bool((logits.argmax(dim=1) == wanted).all()):
            return float(value.detach()), np.zeros(flat.shape)
        (gradient,) = torch.autograd.grad(value, x)
        return float(value.detach()), gradient.flatten().double().numpy()

    best, _, told = fmin_l_bfgs_b(energy, start.flatten().double().numpy(), m=10, maxfun=EVALUATIONS, factr=0)
    if not np.any(told["grad"]):
        return found  # every stroke is right
    return torch.from_numpy(best.astype(np.float32)).view(start.shape)


class _Strokes:
    """All strokes of classes that the network knows, in the frame of the network's axes."""

    def __init__(self, drawn: Drawn, frame: ImageFrame, grid: NetworkGrid, n_classes: int) -> None:
        told = np.array(frame.order.apply(drawn.all))
        voxels = np.argwhere((told >= 0) & (told < n_classes))
        self.positions = grid.positions(voxels)
        self.wanted = torch.from_numpy(told[tuple(voxels.T)].astype(np.int64))

    def __len__(self) -> int:
        return len(self.wanted)


class FBrs:
    """f-BRS at one image.

    Args:
        image, backbone: the scan and its network, whose last layer must be one convolution.
        weight: of the energy's second part.
    """

    def __init__(self, image: Volume, backbone: Backbone, weight: float = 1.0) -> None:
        self._frame, self._weight = ImageFrame(image, backbone), weight
        self._state = NetworkState(self._frame, backbone, 1, torch.device("cpu"))
        if not isinstance(self._state.part, ConvolutionPart):
            raise BackboneError(f"f-BRS needs {backbone.config.name!r} to end with one convolution.")
        n_features = self._state.part.initial[0].shape[1]
        self._neutral = torch.stack([torch.ones(n_features), torch.zeros(n_features)])
        self._found = self._neutral.clone()

    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        """The network's answer with the scales and shifts that make the strokes right."""
        state = self._state
        strokes = _Strokes(drawn, self._frame, state.grid, state.logits.shape[0])
        if not len(strokes):
            return labels
        at_strokes = state.part.at(strokes.positions)

        def logits_at_strokes(x: Tensor) -> Tensor:
            values, shift = self._last_layer(x)
            return state.to_classes(at_strokes(values) + shift)

        self._found = minimize(logits_at_strokes, strokes.wanted, self._found, self._weight, self._neutral)
        with torch.no_grad():
            values, shift = self._last_layer(self._found)
            output = state.part.everywhere(values) + shift.view(-1, 1, 1, 1)
            return _answer(self._frame, state.grid, state.to_classes(output.movedim(0, -1)).movedim(-1, 0))

    def _last_layer(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The last convolution's weights for scaled features, and what shifts (F,) of them add to its output (C,).

        Scaling a convolution's input is scaling its kernel. At the image's rim, where a kernel of more than one voxel
        sees zeros, the shift is added as everywhere else.
        """
        kernel, *bias = self._state.part.initial
        scales, shifts = x
        return [kernel * scales.view(1, -1, 1, 1, 1), *bias], kernel.sum(dim=(2, 3, 4)) @ shifts


class Brs:
    """BRS at one image; of a 2-D network only the slices with strokes are refined, for no others can help these.

    Args:
        image, backbone: the scan and its network, whose windows do not overlap.
        weight: of the energy's second part.
    """

    def __init__(self, image: Volume, backbone: Backbone, weight: float = 1e-5) -> None:
        self._frame, self._backbone, self._weight = ImageFrame(image, backbone), backbone, weight
        config = backbone.config
        if config.patch_size is not None:
            raise BackboneError(f"BRS runs whole images, but {config.name!r} sees windows of {config.patch_size}.")
        self._to_classes = ClassLogits(config)
        inputs, self._grid = backbone.preprocessing(self._frame.image, self._frame.geometry, torch.device("cpu"))
        self._plan, self._flat = WindowPlan.of(config, self._grid.shape), flat_axis(config, self._grid.shape)
        self._scale = inputs.std(dim=(1, 2, 3), keepdim=True)
        sides = [(b, n - m - b) for n, m, b in zip(self._plan.padded, inputs.shape[1:], self._plan.before)]
        self._inputs = torch.from_numpy(np.pad(inputs.numpy(), [(0, 0), *sides], mode="edge"))
        with torch.no_grad():
            windows = [self._run(i) for i in range(len(self._plan.windows))]
        self._logits = torch.zeros((windows[0].shape[0], *self._plan.padded))
        for i, window in enumerate(windows):
            self._logits[(slice(None), *self._box(i))] = window
        self._offsets: dict[int, Tensor] = {}

    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        """The network's answer on the image with the offset that makes the strokes right."""
        strokes = _Strokes(drawn, self._frame, self._grid, self._logits.shape[0])
        if not len(strokes):
            return labels
        voxels, rows, weights = corners(strokes.positions, self._grid.shape)
        voxels = voxels + self._plan.before
        boxes = [self._box(i) for i in range(len(self._plan.windows))]
        inside = [np.flatnonzero([all(s.start <= v < s.stop for v, s in zip(kji, b)) for kji in voxels]) for b in boxes]
        stroked = [i for i, found in enumerate(inside) if len(found)]
        local = {i: tuple((voxels[inside[i]] - [s.start for s in boxes[i]]).T) for i in stroked}
        corner_weights = torch.from_numpy(weights)[..., None]

        def logits_at_strokes(x: Tensor) -> Tensor:
            corner_logits = torch.zeros((len(voxels), self._logits.shape[0]))
            for offset, i in zip(x, stroked):
                output = self._run(i, offset)[(slice(None), *local[i])].T
                corner_logits = corner_logits.index_add(0, torch.from_numpy(inside[i]), output)
            return (corner_logits[torch.from_numpy(rows)] * corner_weights).sum(dim=1)

        nothing = torch.zeros((self._inputs.shape[0], *self._plan.size))
        start = torch.stack([self._offsets.get(i, nothing) for i in stroked])
        found = minimize(logits_at_strokes, strokes.wanted, start, self._weight, 0.0)
        self._offsets.update(zip(stroked, found))
        with torch.no_grad():
            for i in stroked:
                self._logits[(slice(None), *self._box(i))] = self._run(i, self._offsets[i])
        kept = tuple(slice(b, b + n) for b, n in zip(self._plan.before, self._grid.shape))
        return _answer(self._frame, self._grid, self._logits[(slice(None), *kept)])

    def _box(self, i: int) -> tuple[slice, slice, slice]:
        return self._plan.windows[i].slices(self._plan.size)

    def _run(self, i: int, offset: Tensor | None = None) -> Tensor:
        """Class logits (classes, *window) of one window, with an offset (channels, *window) on its input."""
        window = self._inputs[(slice(None), *self._box(i))]
        if offset is not None:
            window = window + self._scale * offset
        window = window[None] if self._flat is None else window[None].squeeze(self._flat + 2)
        with torch.jit.optimized_execution(False):
            output = first_tensor(self._backbone.network(window.clone()))
        output = output if self._flat is None else output.unsqueeze(self._flat + 2)
        return self._to_classes(output[0].movedim(0, -1)).movedim(-1, 0)


def _answer(frame: ImageFrame, grid: NetworkGrid, logits: Tensor) -> np.ndarray:
    """Labels in the user's axes of class logits (classes, *grid shape)."""
    logits = logits.movedim(0, -1).contiguous().movedim(-1, 0)
    return frame.to_user(network_labels(grid, logits, tuple(slice(0, n) for n in frame.shape)))


def _suits(case: Case) -> bool:
    """The network must know every class: there is nothing in it to refine for another one."""
    return case.backbone is not None and not case.added


METHODS = (
    Method("BRS", lambda case: Brs(case.image, load_backbone(case.backbone)), _suits, version="2",
           cites="Jang & Kim, CVPR 2019, with an offset of the image"),
    Method("f-BRS", lambda case: FBrs(case.image, load_backbone(case.backbone)), _suits, version="2",
           cites="Sofiiuk et al., CVPR 2020, at the last features"),
)  # fmt: skip

"""In which order a bundle paints overlapping classes over each other, learned from its own last step."""

from __future__ import annotations

import itertools
from typing import Any

import torch

#: A voxel can be in 2 to the power of this many combinations of classes.
_MOST_CHANNELS = 8


def paint_order(postprocessing: list[Any], count: int) -> tuple[int, ...]:
    """The channels from the first painted to the last, or () where the bundle does not say.

    MONAI's BraTS bundle, for one, ends with a Lambdad that makes one label map of overlapping masks. It is shown every
    combination of masks; which of two wins tells their order.

    Args:
        postprocessing: MONAI's transforms.
        count: of output channels.
    """
    names = [type(step).__name__ for step in postprocessing]
    discrete = [n for n, name in enumerate(names) if name.startswith("AsDiscrete")]
    lambdas = [step for step in postprocessing[discrete[-1] + 1 :] if _is_lambda(step)] if discrete else []
    if not lambdas or not 2 <= count <= _MOST_CHANNELS:
        return ()
    combinations = list(itertools.product((0.0, 1.0), repeat=count))
    masks = torch.tensor(combinations).T.reshape(count, -1, 1, 1)
    try:
        for step in lambdas:
            masks = torch.as_tensor(step({"pred": masks})["pred"])
    except Exception:  # whatever the bundle's own function raises when it is not made for this
        return ()
    if masks.shape != (1, len(combinations), 1, 1):
        return ()
    value = dict(zip(combinations, masks.flatten().tolist()))
    alone = [value[tuple(float(c == n) for n in range(count))] for c in range(count)]
    if len({*alone, value[(0.0,) * count]}) != count + 1:
        return ()

    def wins_over(channel: int) -> int:
        pairs = [
            tuple(float(n in (channel, other)) for n in range(count)) for other in range(count) if other != channel
        ]
        return sum(value[pair] == alone[channel] for pair in pairs)

    order = tuple(sorted(range(count), key=wins_over))
    for combination in combinations:
        painted = [alone[c] for c in order if combination[c]]
        if painted and value[combination] != painted[-1]:
            return ()
    return order


def _is_lambda(step: Any) -> bool:
    return type(step).__name__ in ("Lambdad", "LambdaD", "LambdaDict")

"""From a network's output channels to one logit per class."""

from __future__ import annotations

import math

import torch

from .config import BackboneConfig


class ClassLogits:
    """Maps output channels to class logits, background first, so that the likeliest class is the owner's answer.

    * softmax: a class's logit is that of its channel; of several channels merged into one class, the largest.
      Channels that are ignored count as background.
    * sigmoid: there is no background channel; its logit is 0, so that a class wins exactly where its probability
      exceeds the threshold, one half if nothing else is said.
    * regions (nnU-Net): overlapping sigmoid channels in the order in which they are painted, later over earlier.
      A class wins exactly where its channel exceeds one half and no later one does:
      z_i = min(s_i, -max over later j of s_j), z_background = -max of all s_j.
    """

    def __init__(self, config: BackboneConfig) -> None:
        self._labels = config.channel_labels
        self._activation = config.activation
        self._n_classes = len(config.classes) + 1
        self._paint = config.paint
        self._lead = math.log(config.threshold / (1 - config.threshold)) if config.activation != "softmax" else 0.0

    def __call__(self, output: torch.Tensor) -> torch.Tensor:
        """(..., channels) -> (..., classes), differentiable."""
        channels, labels = (output - self._lead if self._lead else output).unbind(-1), self._labels
        if self._activation == "regions":
            if self._paint:
                channels, labels = [channels[c] for c in self._paint], [labels[c] for c in self._paint]
            last = channels[-1]
            logits = [last]
            for channel in reversed(channels[:-1]):
                logits.insert(0, torch.minimum(channel, -last))
                last = torch.maximum(channel, last)
            members = {0: [-last]}
        else:
            if self._activation == "softmax" and self._labels == tuple(range(self._n_classes)):
                return output
            logits = list(channels)
            members = {0: [torch.zeros_like(channels[0])]} if self._activation == "sigmoid" else {}
        for label, logit in zip(labels, logits):
            members.setdefault(label, []).append(logit)
        return torch.stack([_largest(members[label]) for label in range(self._n_classes)], dim=-1)


def _largest(logits: list[torch.Tensor]) -> torch.Tensor:
    largest = logits[0]
    for logit in logits[1:]:
        largest = torch.maximum(largest, logit)
    return largest

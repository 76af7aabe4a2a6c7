"""Several folds as one network, whose last layers are tuned together."""

from __future__ import annotations

import torch


class AveragedFolds(torch.nn.Module):
    """The mean of the folds' logits, as nnU-Net averages them.

    The folds' last layers are 1 x 1 convolutions; their mean is one such convolution over all folds' features, which
    is how it is computed: then that one layer is the last layer of every fold, and tuning it is as fast as for one.

    Attributes:
        note: for the user.
        tuned_together: the parameters of each fold; the last layers of every one are tuned.
    """

    def __init__(self, members: list[torch.nn.Module]) -> None:
        super().__init__()
        heads = [member.decoder.seg_layers[-1] for member in members]
        n = len(members)
        first = heads[0]
        self.head = type(first)(sum(h.in_channels for h in heads), first.out_channels, 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.cat([h.weight for h in heads], dim=1) / n)
            self.head.bias.copy_(torch.stack([h.bias for h in heads]).mean(dim=0))
        for member in members:
            member.decoder.seg_layers[-1] = torch.nn.Identity()
        self.members = torch.nn.ModuleList(members)
        self.note = f"The answers of {n} folds are averaged, and all of them are tuned."

    @staticmethod
    def fits(members: list[torch.nn.Module]) -> bool:
        """Whether the networks end in such a convolution, as all of nnU-Net's own do."""
        for member in members:
            heads = getattr(getattr(member, "decoder", None), "seg_layers", None)
            if not isinstance(heads, torch.nn.ModuleList) or not len(heads):
                return False
            head = heads[-1]
            if (
                not isinstance(head, (torch.nn.Conv2d, torch.nn.Conv3d))
                or head.bias is None
                or set(head.kernel_size) != {1}
            ):
                return False
        return True

    @property
    def tuned_together(self) -> list[list[torch.Tensor]]:
        """The parameters of each fold, those of the common last layer among them."""
        shared = list(self.head.parameters())
        return [[*member.parameters(), *shared] for member in self.members]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, channels, *spatial) -> logits (1, outputs, *spatial)."""
        return self.head(torch.cat([member(x) for member in self.members], dim=1))

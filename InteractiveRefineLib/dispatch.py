"""A torch dispatch mode, which sees every operation, without the seconds that torch's own guard takes."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class PlainDispatchMode(TorchDispatchMode):
    """A dispatch mode without torch's guard against its compiler, which is never used here.

    The guard alone imports the whole compiler, one to two seconds, when the first network runs.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

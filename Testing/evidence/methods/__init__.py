"""Every method of the evidence by its name, in the order of the tables."""

from __future__ import annotations

from Testing.evidence.method import Method
from Testing.evidence.methods import ours, painting

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        *painting.METHODS,
        *ours.METHODS,
    )
}

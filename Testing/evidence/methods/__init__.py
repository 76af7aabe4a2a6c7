"""Every method of the evidence by its name, in the order of the tables."""

from __future__ import annotations

from Testing.evidence.method import Method
from Testing.evidence.methods import (
    brs,
    clicks,
    geos,
    grab_cut,
    grab_cut_3d,
    grow_cut,
    growing,
    ours,
    painting,
    slic_seg,
    walker,
    watershed,
)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        *painting.METHODS,
        *growing.METHODS,
        *grab_cut.METHODS,
        *grab_cut_3d.METHODS,
        *geos.METHODS,
        *slic_seg.METHODS,
        *walker.METHODS,
        *watershed.METHODS,
        *grow_cut.METHODS,
        *brs.METHODS,
        *clicks.METHODS,
        *ours.METHODS,
    )
}

"""One case of a batch as plain data: what to refine, with which network, and how."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ..settings import RefineSettings


@dataclass(frozen=True)
class Case:
    """One row of a manifest, checked; all paths are absolute, "" = not given.

    Attributes:
        name: also of the case's folder.
        row: of the manifest, as a spreadsheet counts.
        images: (channel's name or "", path); several files are the channels of one image.
        backbone: folder.
        strokes, not_strokes, current, truth: files.
        prompts: files with points or boxes.
        locks, new_classes: names of structures.
        settings: of the refinement.
        written: cells of the manifest as the user wrote them, for the report.
    """

    name: str
    row: int
    images: tuple[tuple[str, str], ...]
    backbone: str
    strokes: str = ""
    not_strokes: str = ""
    prompts: tuple[str, ...] = ()
    current: str = ""
    locks: tuple[str, ...] = ()
    new_classes: tuple[str, ...] = ()
    settings: RefineSettings = field(default_factory=RefineSettings)
    truth: str = ""
    written: dict[str, str] = field(default_factory=dict)

    @property
    def has_marks(self) -> bool:
        """Whether the user said anything about this case."""
        return bool(self.strokes or self.not_strokes or self.prompts)

    @property
    def files(self) -> list[tuple[str, str]]:
        """(column, path) of everything that is read, except the backbone."""
        named = [("image", path) for _, path in self.images]
        named += [("strokes", self.strokes), ("not-strokes", self.not_strokes)]
        named += [("prompts", path) for path in self.prompts]
        named += [("current", self.current), ("truth", self.truth)]
        return [(column, path) for column, path in named if path]

    def to_fields(self) -> dict[str, Any]:
        """As JSON, for another process."""
        return dataclasses.asdict(self)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Case:
        """The case that `to_fields` described."""
        lists = {key: tuple(fields[key]) for key in ("prompts", "locks", "new_classes")}
        images = tuple((name, path) for name, path in fields["images"])
        return cls(**{**fields, **lists, "images": images, "settings": RefineSettings(**fields["settings"])})


def in_computing_order(cases: list[Case]) -> list[Case]:
    """Cases of one network together, and within them those of one image: both are then loaded and run once."""
    first_seen: dict[object, int] = {}
    for case in cases:
        first_seen.setdefault(case.backbone, case.row)
        first_seen.setdefault((case.backbone, case.images), case.row)
    return sorted(cases, key=lambda c: (first_seen[c.backbone], first_seen[c.backbone, c.images], c.row))

"""Check a whole manifest before its first case runs: every problem is told at once, with row and column."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from ..resources import STROKES_ONLY, backbone_folder
from ..settings import RefineSettings
from .case import Case
from .cells import entries_of, images_of, path_of, settings_of
from .manifest import Problem, Row, Table
from .names import folded, problem_with_name

#: More would scroll away; the number of all is told.
_SHOWN = 50


class ManifestError(InputError):
    """A manifest cannot be used; nothing was computed.

    Attributes:
        problems: all of them, by row.
    """

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        n = len(self.problems)
        lines = [f"{source} cannot be used: {n} problem{'s' if n > 1 else ''}. Nothing was computed."]
        lines += [f"  {problem}" for problem in self.problems[:_SHOWN]]
        if n > _SHOWN:
            lines.append(f"  ... and {n - _SHOWN} more")
        super().__init__("\n".join(lines))


@dataclasses.dataclass(frozen=True)
class Defaults:
    """What holds for rows that say nothing: a backbone folder ("" = none), and settings."""

    backbone: str = ""
    settings: RefineSettings = dataclasses.field(default_factory=RefineSettings)


@dataclasses.dataclass(frozen=True)
class Known:
    """What a network knows: its name, its channels, and its classes without background."""

    name: str
    channels: tuple[str, ...]
    classes: tuple[str, ...]


def describe_here(folder: str) -> Known:
    """What the network in `folder` knows; loads PyTorch. BackboneError when it cannot be used."""
    from ..backbone import describe_backbone

    config = describe_backbone(folder)
    return Known(config.name, tuple(config.channels), tuple(segment.name for segment in config.classes))


def checked_cases(
    table: Table, defaults: Defaults | None = None, describe: Callable[[str], Known] = describe_here
) -> tuple[list[Case], list[Problem]]:
    """The cases of a manifest, in its order, and everything that is wrong with it; a row with a problem is left out."""
    checker = _Checker(table, defaults or Defaults(), describe)
    cases = [case for case in map(checker.case, table.rows) if case is not None]
    return cases, sorted({*table.problems, *checker.problems})


class _Checker:
    def __init__(self, table: Table, defaults: Defaults, describe: Callable[[str], Known]) -> None:
        self._describe = describe
        self.folder, self.defaults = table.folder, defaults
        self.problems: list[Problem] = []
        self._names: dict[str, tuple[int, str]] = {}
        self._configs: dict[str, Known | None] = {}

    def case(self, row: Row) -> Case | None:
        """The case of a row, None when something is wrong with it."""
        before = len(self.problems)

        def wrong(column: str, text: str) -> None:
            self.problems.append(Problem(row.number, column, text))

        cells = row.cells
        name = cells.get("case", "")
        self._check_name(row.number, name, wrong)
        images = images_of(cells.get("image", ""), self.folder)
        if not images:
            wrong("image", "there is no image.")
        if len({bool(channel) for channel, _ in images}) > 1:
            wrong("image", "some channels are named and some are not. Write NAME=file for all of them or for none.")
        for _, path in images:
            self._must_exist(path, "image", wrong, folders=True)
        backbone = self.defaults.backbone
        if "backbone" in cells:
            named = cells["backbone"]
            backbone = str(backbone_folder(named) if named == STROKES_ONLY else path_of(named, self.folder))
        config = self._config(backbone, wrong)
        settings = self.defaults.settings
        if "settings" in cells:
            try:
                settings = settings_of(cells["settings"], self.folder, self.defaults.settings)
            except InputError as error:
                wrong("settings", str(error))
        files = {}
        for column in ("strokes", "not-strokes", "current", "truth"):
            files[column] = self._file(cells.get(column, ""), column, wrong)
        prompts = tuple(self._file(entry, "prompts", wrong) for entry in entries_of(cells.get("prompts", "")))
        case = Case(
            name=name, row=row.number, images=tuple((channel, str(path)) for channel, path in images),
            backbone=backbone, strokes=files["strokes"], not_strokes=files["not-strokes"], prompts=prompts,
            current=files["current"], truth=files["truth"], settings=settings, written=dict(cells),
            locks=tuple(entries_of(cells.get("locks", ""))),
            new_classes=tuple(entries_of(cells.get("new-classes", ""))),
        )  # fmt: skip
        if case.current and not case.has_marks:
            wrong("strokes", "there is a current segmentation, but nothing says what is wrong with it. Give strokes, "
                  "not-strokes or prompts; or leave current empty to get the network's own answer.")  # fmt: skip
        if config is not None:
            self._check_classes(case, config, wrong)
        return case if len(self.problems) == before else None

    def _check_name(self, number: int, name: str, wrong: Callable[[str, str], None]) -> None:
        if reason := problem_with_name(name):
            wrong("case", f"{name!r} {reason}." if name else f"the name {reason}.")
            return
        first, spelled = self._names.setdefault(folded(name), (number, name))
        if first != number:
            same = (
                "is used already"
                if spelled == name
                else f"and {spelled!r} are one folder on some systems: the name is used"
            )
            wrong("case", f"{name!r} {same} in row {first}. Two cases cannot have one folder.")

    def _must_exist(self, path: Path, column: str, wrong: Callable[[str, str], None], folders: bool = False) -> bool:
        if not path.exists():
            near = next((p for p in path.parents if p.exists()), path)
            hint = (
                ""
                if near == path.parent
                else f" The folder {near / path.relative_to(near).parts[0]} is missing already."
            )
            wrong(column, f"there is no {path}.{hint}")
        elif path.is_dir() and not folders:
            wrong(column, f"{path} is a folder. Give the file in it.")
        elif not os.access(path, os.R_OK):
            wrong(column, f"{path} cannot be read. Check its permissions.")
        else:
            return True
        return False

    def _file(self, text: str, column: str, wrong: Callable[[str, str], None]) -> str:
        if not text:
            return ""
        path = path_of(text, self.folder)
        self._must_exist(path, column, wrong)
        return str(path)

    def _config(self, folder: str, wrong: Callable[[str, str], None]) -> Known | None:
        """What the backbone knows; each is read once, and its problem is told once."""
        if not folder:
            wrong("backbone", "there is no backbone. Name its folder here, or one for all cases with --backbone.")
            return None
        if folder not in self._configs:
            self._configs[folder] = None
            try:
                self._configs[folder] = self._describe(folder)
            except InputError as error:
                wrong("backbone", str(error).splitlines()[0])
        elif self._configs[folder] is None:
            wrong("backbone", f"{folder} cannot be used, see above.")
        return self._configs[folder]

    def _check_classes(self, case: Case, config: Known, wrong: Callable[[str, str], None]) -> None:
        channels = {name.strip().lower() for name in config.channels}
        named = {name.strip().lower() for name, _ in case.images if name}
        if len(case.images) > len(config.channels) or (named and named != channels):
            given = ", ".join(name for name, _ in case.images if name) or f"{len(case.images)} files"
            wrong("image", f"{config.name!r} needs {', '.join(config.channels)}, not {given}.")
        known = {name.strip().lower() for name in config.classes}
        for name in case.new_classes:
            if name.lower() in known or name.lower() == "background":
                wrong("new-classes", f"there is already a class named {name!r}. Leave it out here.")
            known.add(name.lower())
        unknown = [name for name in case.locks if name.lower() not in known]
        if unknown and case.current and os.path.isfile(case.current):
            from ..segmentation_io import read_segmentation

            try:
                known |= {segment.name.strip().lower() for segment in read_segmentation(case.current).segments}
            except InputError as error:
                wrong("current", str(error))
                return
        for name in unknown:
            if name.lower() not in known:
                wrong("locks", f"there is no class named {name!r}. Known: {', '.join(config.classes)}.")

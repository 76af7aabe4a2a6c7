"""The output folder: a case appears in it at once or not at all, and what is not ours is never deleted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..atomic import flush_folder
from ..errors import InputError
from .lock import FolderLock
from .names import BATCH_FOLDER
from .outcome import FINISHED, Outcome

SEGMENTATION, PREVIEW, LOG = "refined.seg.nrrd", "preview.png", "log.txt"
REPORT, TIMINGS = "report.json", "timings.json"
#: All files of a finished case; everything else in its folder belongs to the user.
OUR_FILES = (SEGMENTATION, PREVIEW, LOG, TIMINGS, REPORT)
_REPLACED = "replaced"


class CaseStore:
    """Where cases are written; any number of processes may share it, also on several machines.

    Args:
        output: folder of the batch.
        run: folder in which this run prepares cases, below `output`; once it is gone, the run is over.
    """

    def __init__(self, output: Path, run: Path) -> None:
        self.output, self.run = output, run

    def folder(self, name: str) -> Path:
        """Where the results of a case are."""
        return self.output / name

    def is_over(self) -> bool:
        """Whether the run was ended, and what is computed for it is not wanted any more."""
        return not self.run.is_dir()

    def new_work_folder(self, name: str) -> Path:
        """An empty folder in which a case is prepared; FileNotFoundError when the run is over."""
        folder = self.run / f"{name}-{secrets.token_hex(4)}"
        folder.mkdir()
        return folder

    def finished_report(self, name: str, key: str) -> tuple[dict[str, Any], tuple[str, ...]] | None:
        """The report of a case that is finished with this key, and notes about files changed since; None otherwise."""
        report = read_report(self.folder(name))
        if report is None or report.get("key") != key:
            return None
        notes = []
        for file, digest in report["outputs"].items():
            path = self.folder(name) / file
            if not path.is_file():
                return None
            if _digest(path) != digest:
                notes.append(f"{path} was changed after the batch wrote it; it was left as it is.")
        return report, tuple(notes)

    def run_of(self, name: str) -> str:
        """Which run computed a finished case; "" when that is not known."""
        try:
            return str(json.loads((self.folder(name) / TIMINGS).read_text(encoding="utf-8"))["run"])
        except (OSError, ValueError, TypeError, KeyError):
            return ""

    def finished_in_this_run(self, names: Iterable[str]) -> Iterator[Outcome]:
        """Outcomes of those of the cases whose results this run wrote."""
        for name in names:
            report = read_report(self.folder(name)) if self.run_of(name) == self.run.name else None
            if report is not None:
                yield Outcome(name, FINISHED, facts=report["facts"])

    def commit(self, work: Path, name: str, key: str) -> bool:
        """Make a prepared folder the case's folder; False when another worker did so before, and this one is dropped.

        A file of the user in the folder so far, or one of ours that was edited, goes along; an edited one is called
        `kept-...`.
        """
        for file in work.iterdir():
            with open(file, "rb+") as opened:
                os.fsync(opened.fileno())  # a full disk may only be found out here
        final = self.folder(name)
        if not _rename(work, final):
            if self.finished_report(name, key) is not None:
                shutil.rmtree(work, ignore_errors=True)
                return False
            self._replace(work, final)
        flush_folder(self.output)
        return True

    def _replace(self, work: Path, final: Path) -> None:
        recorded = (read_report(final) or {}).get("outputs", {})
        for path in sorted(final.iterdir()):
            if path.name in (REPORT, TIMINGS) or (path.is_file() and recorded.get(path.name) == _digest(path)):
                continue
            target = work / (f"kept-{path.name}" if path.name in OUR_FILES else path.name)
            number = 1
            while target.exists():
                number += 1
                target = work / f"kept-{number}-{path.name}"
            shutil.copytree(path, target, symlinks=True) if path.is_dir() else shutil.copy2(path, target)
        replaced = self.run / _REPLACED
        replaced.mkdir(exist_ok=True)
        old = replaced / final.name
        os.rename(final, old)
        try:
            os.rename(work, final)
        except OSError:
            os.rename(old, final)
            raise
        shutil.rmtree(old, ignore_errors=True)


class BatchFolder:
    """The output folder as the one process has it that leads the batch: it keeps the journal and cleans up.

    Args:
        output: is made where it does not exist.

    Raises:
        InputError: it cannot be written, or another batch is writing to it.
    """

    def __init__(self, output: Path) -> None:
        self.output = Path(output).absolute()
        self.inner = self.output / BATCH_FOLDER
        try:
            self.inner.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.inner / "lock")
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"Cannot write to {self.output}: {reason}. Choose another folder for --output.") from error
        if not self._lock.held:
            raise InputError(f"Another batch is writing to {self.output}. Wait for it, or choose another folder.")
        self.notes: list[str] = []
        try:
            self._clean()
            self.id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
            self.store = CaseStore(self.output, self.inner / f"run-{self.id}")
            self.store.run.mkdir()
            (self.store.run / "probe").write_bytes(b"\0")
            (self.store.run / "probe").unlink()
        except OSError as error:
            self._lock.release()
            reason = error.strerror or error
            raise InputError(f"Cannot write to {self.output}: {reason}. Choose another folder for --output.") from error

    def end_run(self) -> None:
        """Nothing is finished in this run any more: workers that still compute for it drop what they have."""
        over = self.inner / f"over-{self.id}"
        with contextlib.suppress(OSError):
            # Renamed first: then nobody can put anything into it any more while it is being removed.
            os.rename(self.store.run, over)
        self._remove(over)
        self._remove(self.store.run)

    def close(self) -> None:
        """End the run, if it was not ended, and let others write to the folder."""
        self.end_run()
        self._lock.release()

    def write_journal(self, event: str, **fields: Any) -> None:
        """Append one line of JSON; a journal that cannot be written stops nobody."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "run": self.id, "event": event, **fields})
        try:
            with open(self.inner / "journal.jsonl", "a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._note(f"The journal {self.inner / 'journal.jsonl'} could not be written: {error.strerror or error}.")

    def record(self, outcome: Outcome) -> None:
        """Write down what became of a case, and keep the reason of a failed one in a file of its own."""
        event = "kept" if outcome.reused else outcome.status
        more = {"reason": outcome.reason} if outcome.reason else {}
        self.write_journal(event, case=outcome.name, seconds=round(outcome.seconds, 3), worker=outcome.worker, **more)
        failure = self.inner / "failed" / f"{outcome.name}.txt"
        try:
            if outcome.reason:
                failure.parent.mkdir(exist_ok=True)
                failure.write_text(f"{outcome.reason}\n\n{outcome.details}".rstrip() + "\n", encoding="utf-8")
            else:
                failure.unlink(missing_ok=True)
        except OSError as error:
            self._note(f"{failure} could not be written: {error.strerror or error}.")

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def _clean(self) -> None:
        """Remove what a run left behind that was killed; nobody else is running, for the lock is ours."""
        for run in [*self.inner.glob("run-*"), *self.inner.glob("over-*")]:
            self._remove(run)

    def _remove(self, run: Path) -> None:
        """Remove a run's folder; a case that was just being replaced gets its old results back."""
        for old in (run / _REPLACED).glob("*"):
            if not (self.output / old.name).exists():
                with contextlib.suppress(OSError):
                    os.rename(old, self.output / old.name)
        shutil.rmtree(run, ignore_errors=True)


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report of a case's folder; None when there is none or it is damaged."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = (
        isinstance(report, dict) and isinstance(report.get("outputs"), dict) and isinstance(report.get("facts"), dict)
    )
    return report if whole and SEGMENTATION in report["outputs"] else None


def is_ours(folder: Path) -> bool:
    """Whether a folder that is there already may be a case's folder of an earlier batch, or is empty."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    names = [path.name for path in folder.iterdir()]
    return REPORT in names or all(name in OUR_FILES for name in names)


def output_digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of those of the files that exist."""
    return {name: _digest(folder / name) for name in names if (folder / name).is_file()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _rename(work: Path, final: Path) -> bool:
    """Rename unless there is a folder with something in it."""
    try:
        os.rename(work, final)  # replaces an empty folder, at most
        return True
    except OSError:
        if final.is_dir() and any(final.iterdir()):
            return False
        if final.is_dir() and os.name == "nt":  # Windows does not replace an empty one either
            final.rmdir()
            os.rename(work, final)
            return True
        raise

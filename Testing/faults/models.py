"""Network files that are cut, have flipped bits, hold another network, or a program that wants to run."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from InteractiveRefineLib.backbone import load_backbone
from InteractiveRefineLib.errors import BackboneError
from InteractiveRefineLib.worker.failure import BACKBONE
from Testing.tests.network_examples import noise

from .conversation import SETTINGS, make_backbone
from .forked_worker import in_a_fork
from .network_files import FORMATS, Format, Trap, save_safetensors, torchscript
from .registry import Tally, row
from .talking import a_client

_GROUP = "Broken and hostile network files"
_N_FLIPS = 16


@row(_GROUP, "cut at each quarter: refused with the file's name, in one paragraph; the good one still loads", slow=True)
def cut(tally: Tally, folder: Path) -> None:
    def damages(whole: bytes) -> dict[str, bytes]:
        quarters = {f"cut at {n}/4": whole[: len(whole) * n // 4] for n in range(4)}
        return {**quarters, "without its last byte": whole[:-1]}

    _damaged(tally, folder, damages, may_load=False)


@row(_GROUP, "bits flipped at random: refused, or it loads and computes; never a crash", slow=True)
def flipped(tally: Tally, folder: Path) -> None:
    random = np.random.default_rng(8)

    def damages(whole: bytes) -> dict[str, bytes]:
        found = {}
        for _ in range(_N_FLIPS):
            at, bit = int(random.integers(len(whole))), int(random.integers(8))
            found[f"bit {bit} of byte {at}"] = whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]
        return found

    _damaged(tally, folder, damages, may_load=True)


def _damaged(tally: Tally, folder: Path, damages: Callable[[bytes], dict[str, bytes]], may_load: bool) -> None:
    """Load damaged files in a process of its own, for a reader in C may crash."""
    loaded = 0
    for form in _formats(tally):
        path = form.make(folder / form.name.replace(" ", "-"))
        whole = path.read_bytes()
        for n, (what, data) in enumerate(damages(whole).items()):
            (folder / f"{form.name} {n}.bytes").write_bytes(data)
            (folder / f"{form.name} {n}.what").write_text(what, encoding="utf-8")
        code = in_a_fork(_load_each, str(folder), form.name, str(path), timeout=240)
        said = folder / f"{form.name}.said"
        lines = said.read_text(encoding="utf-8").splitlines() if said.exists() else []
        for n, what in enumerate(damages(whole) if not may_load else [None] * _N_FLIPS):
            with tally.fault(f"{form.name}, {what or (folder / f'{form.name} {n}.what').read_text(encoding='utf-8')}"):
                assert n < len(lines), f"the process ended with {code}"
                loaded += lines[n] == "loaded"
                assert lines[n] == "refused" or (may_load and lines[n] == "loaded"), lines[n]
        with tally.fault(f"{form.name}, the good file afterward"):
            assert code == 0 and lines[-1] == "good", lines[-1:] or code
    if may_load:
        tally.notes.append(f"{loaded} files loaded although a bit was flipped (in padding, names or single weights)")


def _load_each(folder: str, name: str, path: str) -> None:
    """In a process of its own: put each damaged file in the place of the good one, load it, and note what happened."""
    torch.set_num_threads(1)
    place, target = Path(folder), Path(path)
    whole, n = target.read_bytes(), 0
    backbone = _folder_of(target)
    with open(place / f"{name}.said", "w", encoding="utf-8") as said:
        while (damaged := place / f"{name} {n}.bytes").exists():
            target.write_bytes(damaged.read_bytes())
            said.write(_outcome(backbone, target) + "\n")
            said.flush()
            n += 1
        target.write_bytes(whole)
        said.write("good\n" if _outcome(backbone, target) == "loaded" else "the good one is refused\n")


def _outcome(backbone: Path, file: Path) -> str:
    try:
        network = load_backbone(backbone).network
        with torch.no_grad():
            network(noise(1, 1, 8, 8, 8) if "nnUNet" not in str(file) else noise(1, 1, 16, 16, 16))
        return "loaded"
    except BackboneError as error:
        text = str(error)
        return "refused" if backbone.name in text and len(text) < 3000 else f"said: {text[:200]!r}"
    except RuntimeError:
        return "loaded"  # it loads, and what it computes is an error of the network's own, caught when it runs
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:150] if str(error) else ''}"


def _folder_of(file: Path) -> Path:
    """The folder that the user would name."""
    return file.parents[1] if file.parent.name in ("fold_0", "models") else file.parent


@row(
    _GROUP,
    "another architecture's weights, and another kind of file under the name: refused, naming the file",
    slow=True,
)
def wrong_network(tally: Tally, folder: Path) -> None:
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 5)).state_dict()
    for form in _formats(tally):
        path = form.make(folder / form.name.replace(" ", "-"))
        assert _outcome(_folder_of(path), path) == "loaded", f"the good {form.name} is refused"
        replacements: dict[str, Callable[[], object]] = {
            "a text": lambda path=path: path.write_text("weights", encoding="utf-8"),
            "an empty archive": lambda path=path: zipfile.ZipFile(path, "w").close(),
            "a list": lambda path=path: torch.save([torch.zeros(3)], path),
            "a folder": lambda path=path: (path.unlink(), path.mkdir()),
        }
        if form.name == "weights.safetensors":
            replacements["another architecture"] = lambda path=path: save_safetensors(other, path)
        elif form.name == "nnU-Net checkpoint":
            replacements["another architecture"] = lambda path=path: torch.save({"network_weights": other}, path)
        else:
            replacements["another architecture"] = lambda path=path: torch.save(other, path)
        for what, replace in replacements.items():
            with tally.fault(f"{form.name}: {what}"):
                replace()
                said = _outcome(_folder_of(path), path)
                if path.is_dir():
                    path.rmdir()
                assert said == "refused", said


@row(_GROUP, "a program hidden as a pickle, in every place where one fits: refused and not executed", slow=True)
def hostile_pickles(tally: Tally, folder: Path) -> None:
    for form in _formats(tally):
        path = form.make(folder / form.name.replace(" ", "-"))
        assert _outcome(_folder_of(path), path) == "loaded", f"the good {form.name} is refused"
        whole = path.read_bytes()
        good = (
            None
            if form.name in ("TorchScript", "weights.safetensors", "exported program")
            else torch.load(path, weights_only=False)
        )
        for what, hide in _hiding_places(good, whole).items():
            sprung = folder / f"sprung {form.name} {what}"
            with tally.fault(f"{form.name}: {what}"):
                hide(path, Trap(sprung))
                said = _outcome(_folder_of(path), path)
                tally.trap(sprung)
                # Members of an archive that nobody reads are harmless; everything else is refused.
                unread = what == "as another member" or "exported" in form.name and "archive's" in what
                assert said == "refused" or (unread and said == "loaded"), said
        path.write_bytes(whole)
    with tally.fault("the trap itself"):
        pickle.loads(pickle.dumps(Trap(folder / "sprung on purpose")))
        assert (folder / "sprung on purpose").exists(), "a trap that never springs proves nothing"


def _hiding_places(good: object, whole: bytes) -> dict[str, Callable[[Path, Trap], object]]:
    places: dict[str, Callable[[Path, Trap], object]] = {
        "as a pickle": lambda path, trap: path.write_bytes(pickle.dumps(trap)),
        "saved by torch": lambda path, trap: torch.save({"weight": torch.zeros(2), "trap": trap}, path),
        "saved by an old torch": lambda path, trap: torch.save(trap, path, _use_new_zipfile_serialization=False),
        "as the key": lambda path, trap: torch.save({_Hashed(trap.path): torch.zeros(2)}, path),
    }
    if isinstance(good, dict):
        places["beside the weights"] = lambda path, trap: torch.save({**good, "more": trap}, path)
        places["in place of a weight"] = lambda path, trap: torch.save({**good, next(iter(good)): trap}, path)
    if whole[:2] == b"PK":

        def as_member(path: Path, trap: Trap) -> None:
            """Every pickle of the archive replaced."""
            path.write_bytes(whole)
            with zipfile.ZipFile(path) as archive:
                members = {info.filename: archive.read(info) for info in archive.infolist()}
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
                for name, data in members.items():
                    archive.writestr(name, pickle.dumps(trap) if name.endswith((".pkl", ".pt")) else data)

        def as_another_member(path: Path, trap: Trap) -> None:
            path.write_bytes(whole)
            with zipfile.ZipFile(path, "a") as archive:
                root = archive.namelist()[0].split("/")[0]
                archive.writestr(f"{root}/extra.pkl", pickle.dumps(trap))

        places["in place of the archive's pickles"] = as_member
        places["as another member"] = as_another_member
    return places


class _Hashed(Trap):
    """A trap that can be a key."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return self is other


@row(_GROUP, "a broken network in the middle of a session in the worker: told, and the network before goes on")
def broken_in_a_session(tally: Tally, folder: Path) -> None:
    from InteractiveRefineLib.worker.client import RefineRequest
    from Testing.tests.session_examples import a_session, usual_constraints
    from Testing.tests.worker_examples import IMAGE, same_account

    good, broken = make_backbone(folder), torchscript(folder / "broken")
    broken.write_bytes(broken.read_bytes()[:500])
    strokes = usual_constraints(a_session())
    with tally.fault("a cut file"), a_client() as (client, told):
        request = RefineRequest(IMAGE, good, strokes, SETTINGS)
        expected = told.ask(request)
        error = told.ask(RefineRequest(IMAGE, str(broken.parent), strokes, SETTINGS))
        assert error.code == BACKBONE and "broken" in str(error), str(error)
        told.errors.clear()
        found = told.ask(request)
        tally.segments_kept(expected.labels, found.labels)
        tally.strokes_obeyed(strokes, found.labels)
        assert same_account(found, expected) and client.alive


def _formats(tally: Tally) -> list[Format]:
    missing = [form.name for form in FORMATS if not form.is_here]
    if missing:
        tally.notes.append(f"not tried, for their packages are not installed: {', '.join(missing)}")
    return [form for form in FORMATS if form.is_here]

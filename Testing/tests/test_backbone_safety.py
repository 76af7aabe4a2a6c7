"""Whatever is hidden in the files of a network: nothing of it is executed, and the message names file and reason."""

import contextlib
import io
import json
import os
import pickle
import warnings
import zipfile

import pytest

from InteractiveRefineLib.errors import BackboneError
from InteractiveRefineLib.trust import code_in, licenses_in

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone import describe_backbone, load_backbone  # noqa: E402
from InteractiveRefineLib.backbone.exported_archive import checked_archive  # noqa: E402
from InteractiveRefineLib.backbone.weights import read_plain, read_weights  # noqa: E402
from Testing.tests.network_examples import scripted, write_folder  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

ASKED_FOR = f"{os.mkdir.__module__}.mkdir"


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def sprung(tmp_path):
    return tmp_path / "sprung"


def refused(action, path, reason, sprung):
    """The complaint, which must name the file, must be one line, and must come before the trap."""
    with pytest.raises(BackboneError, match=reason) as caught:
        action()
    assert not sprung.exists(), "the pickle was executed"
    assert str(path) in str(caught.value)
    assert "weights_only" not in str(caught.value), "that would teach how to switch the protection off"


def rewritten(path, changes):
    """Replace or add records of a zip archive; a change is new content, or a function of the old one."""
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
        top = archive.infolist()[0].filename.split("/")[0]
    for name, change in changes.items():
        key = f"{top}/{name}"
        records[key] = change(records[key]) if callable(change) else change
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, content)


def test_the_trap_works_when_it_is_unpickled(sprung):
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()


def test_torch_itself_would_execute_what_an_exported_program_hides(tmp_path, sprung):
    """Why exported programs are taken apart first; torch says so in its documentation."""
    pytest.importorskip("torch.export.pt2_archive")
    path = an_export(tmp_path)
    rewritten(path, {"data/sample_inputs/model.pt": saved(({"x": Trap(sprung)},))})
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # that it fails afterward does not help
        warnings.simplefilter("ignore")
        torch.export.load(path)
    assert sprung.exists()


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


#: As nnU-Net writes them: the weights among what its trainer kept.
CHECKPOINT = {"network_weights": {"weight": torch.zeros(2)}, "init_args": {"fold": 0}, "trainer_name": "nnUNetTrainer"}


@pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "checkpoint_final.pth"])
@pytest.mark.parametrize("where", ["alone", "in a state dict", "in an nnU-Net checkpoint"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
def test_weight_files_of_torch(tmp_path, sprung, name, where, zipped):
    trap = Trap(sprung)
    content = {
        "alone": trap,
        "in a state dict": {"weight": torch.zeros(2), "bias": trap},
        "in an nnU-Net checkpoint": CHECKPOINT | {"logging": trap},
    }[where]
    path = tmp_path / name
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for read in (read_weights, read_plain):
        refused(lambda read=read: read(path), path, f"it asks for {ASKED_FOR}, which could execute code", sprung)


def test_a_plain_pickle_under_the_name_of_weights(tmp_path, sprung):
    for name in ("weights.pt", "weights.pth"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(Trap(sprung)))
        refused(lambda path=path: read_weights(path), path, "no file of torch.save, or a damaged one", sprung)


def test_what_is_allowed_besides_is_allowed_for_this_file_only(tmp_path):
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "checkpoint.pth"
    value = numpy.float64(0.5)
    torch.save({"loss": value}, path)
    function, (dtype, _) = value.__reduce__()
    allowed = (function, numpy.dtype, type(dtype))
    assert read_plain(path, allowed)["loss"] == 0.5
    with pytest.raises(BackboneError, match="it asks for numpy"):
        read_plain(path)


@pytest.mark.parametrize("content", ["pickle", "saved", "header"])
def test_safetensors(tmp_path, sprung, content):
    pytest.importorskip("safetensors")
    header = b'{"weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"format":"pickle"}'
    path = tmp_path / "weights.safetensors"
    path.write_bytes({
        "pickle": pickle.dumps(Trap(sprung)),
        "saved": saved(Trap(sprung)),
        "header": len(header).to_bytes(8, "little") + header + pickle.dumps(Trap(sprung)),
    }[content])  # fmt: skip
    refused(lambda: read_weights(path), path, "is not a valid safetensors file", sprung)


@pytest.mark.parametrize("record", ["data.pkl", "constants.pkl"])
def test_torchscript_with_a_pickle_of_its_own(tmp_path, sprung, record):
    """A TorchScript file is a program by its nature, but of TorchScript: its pickles cannot call Python."""
    folder = write_folder(tmp_path, torch.nn.Conv3d(1, 3, 1))
    rewritten(folder / "model.ts", {record: pickle.dumps(Trap(sprung), protocol=2)})
    refused(lambda: load_backbone(folder), folder / "model.ts", "is not a TorchScript file", sprung)


@pytest.mark.parametrize("content", [lambda trap: pickle.dumps(trap), lambda trap: saved({"model": trap})])
def test_a_pickle_in_place_of_a_torchscript_file(tmp_path, sprung, content):
    folder = write_folder(tmp_path)
    (folder / "model.ts").write_bytes(content(Trap(sprung)))
    refused(lambda: load_backbone(folder), folder / "model.ts", "is not a TorchScript file", sprung)


def an_export(folder):
    """A backbone folder with a network exported by torch; its path."""
    write_folder(folder, model={"exported": "model.pt2"}, patch_size=[4, 4, 4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(torch.nn.Conv3d(1, 3, 1).eval(), (torch.zeros(1, 1, 4, 4, 4),))
        torch.export.save(program, folder / "model.pt2")
    return folder / "model.pt2"


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    pytest.importorskip("torch.export.pt2_archive", reason="exported programs need PyTorch 2.8")
    return an_export(tmp_path_factory.mktemp("export"))


@pytest.fixture
def a_copy(export, tmp_path):
    """An exported program to spoil."""
    folder = write_folder(tmp_path / "net", model={"exported": "model.pt2"}, patch_size=[4, 4, 4])
    (folder / "model.pt2").write_bytes(export.read_bytes())
    return folder / "model.pt2"


def in_json(change):
    """A change of a JSON record."""

    def changed(content):
        raw = json.loads(content)
        change(raw)
        return json.dumps(raw).encode()

    return changed


MODEL, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


def test_the_example_inputs_of_an_exported_program_are_never_read(a_copy, sprung):
    rewritten(a_copy, {"data/sample_inputs/model.pt": saved(({"x": Trap(sprung)},))})
    assert load_backbone(a_copy.parent).n_parameters == 6
    assert not sprung.exists()


@pytest.mark.parametrize("file", ["weight_0", "weight_1"])
def test_an_exported_program_with_pickled_weights(a_copy, sprung, file):
    def use_pickle(raw):
        for entry in raw["config"].values():
            if entry["path_name"] == file:
                entry["use_pickle"] = True

    rewritten(a_copy, {WEIGHTS: in_json(use_pickle), f"data/weights/{file}": saved(Trap(sprung))})
    reason = rf"it holds '\w+' as a pickle \(data/weights/{file}\), which could execute code"
    refused(lambda: load_backbone(a_copy.parent), a_copy, reason, sprung)


@pytest.mark.parametrize("file", ["opaque_obj_0", "custom_obj_0", "../../weights/weight_0", "tensor_0/x"])
def test_an_exported_program_with_pickled_constants(a_copy, sprung, file):
    def add(raw):
        raw["config"]["trap"] = {"path_name": file, "is_param": False, "use_pickle": False, "tensor_meta": None}

    rewritten(a_copy, {CONSTANTS: in_json(add), f"data/constants/{file}": pickle.dumps(Trap(sprung))})
    refused(lambda: load_backbone(a_copy.parent), a_copy, "as a pickle .*, which could execute code", sprung)


def call(target):
    return lambda raw: raw["graph_module"]["graph"]["nodes"][0].update(target=target)


def size_of(text):
    def change(raw):
        for meta in raw["graph_module"]["graph"]["tensor_values"].values():
            meta["sizes"][0] = {"as_expr": {"expr_str": text, "hint": None}}

    return change


def structure_of(type_name):
    def change(raw):
        entry = raw["graph_module"]["module_call_graph"][0]["signature"]
        entry["out_spec"] = json.dumps([1, {"type": type_name, "context": "{}", "children_spec": []}])

    return change


def argument(key):
    def change(raw):
        raw["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {key: {"name": "trap"}}

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (call("torch.os.mkdir"), r"it calls 'torch\.os\.mkdir', which is no operation of torch\.ops\.aten"),
        (call("torch.hub.load"), "which is no operation of torch"),
        (call("torch.ops.load_library"), "which is no operation of torch"),
        (call("_operator.methodcaller"), "which is no operation of torch"),
        (call("torch.ops.aten.conv3d.default.__init__"), "which is no operation of torch"),
        (call("torch.ops.aten.from_file.default"), "which reads or writes files"),
        (call("torch.ops.aten.nothing.default"), "which PyTorch .* does not have"),
        (call(["a"]), "which is no operation of torch"),
        (size_of("__import__('os').mkdir('{sprung}')"), "is more than a formula, which could execute code"),
        (size_of("Integer(sprung.x)"), "is more than a formula"),
        (size_of("lambdify(s0, s0)"), "is more than a formula"),
        (size_of("Symbol('os.x')"), "is more than a formula"),
        (size_of("[x for x in s0]"), "is more than a formula"),
        (size_of("1 +"), "is no formula"),
        (structure_of("collections.defaultdict"), r"its inputs or outputs are of type collections\.defaultdict"),
        (argument("as_operator"), "which is no tensor operation"),
        (argument("as_custom_obj"), "which is no tensor operation"),
        (argument("as_graph"), "which is no tensor operation"),
    ],
)
def test_an_exported_program_that_would_do_more_than_compute(a_copy, sprung, change, reason):
    def with_the_path(raw):
        change(raw)
        text = json.dumps(raw).replace("{sprung}", str(sprung))
        raw.clear()
        raw.update(json.loads(text))

    rewritten(a_copy, {MODEL: in_json(with_the_path)})
    refused(lambda: load_backbone(a_copy.parent), a_copy, reason, sprung)


def test_the_guards_of_an_exported_program_are_not_executed(a_copy, sprung):
    guard = f"__import__('os').mkdir({str(sprung)!r}) is None"
    rewritten(a_copy, {MODEL: in_json(lambda raw: raw.update(guards_code=[guard]))})
    network = load_backbone(a_copy.parent).network
    assert network(torch.zeros(1, 1, 4, 4, 4)).shape == (1, 3, 4, 4, 4)
    assert not sprung.exists()


@pytest.mark.parametrize("config", [WEIGHTS, CONSTANTS])
def test_the_sizes_of_weights_are_looked_at_too(a_copy, sprung, config):
    size = {"as_expr": {"expr_str": f"__import__('os').mkdir({str(sprung)!r})"}}

    def change(raw):
        entry = {"path_name": "weight_0", "is_param": False, "use_pickle": False, "tensor_meta": {"sizes": [size]}}
        raw["config"]["trap"] = entry

    rewritten(a_copy, {config: in_json(change), "data/constants/weight_0": b""})
    refused(lambda: load_backbone(a_copy.parent), a_copy, "is more than a formula, which could execute code", sprung)


def test_the_names_of_sizes_are_looked_at_too(a_copy, sprung):
    limits = {f"__import__('os').mkdir({str(sprung)!r})": {"min_val": 2, "max_val": None}}
    rewritten(a_copy, {MODEL: in_json(lambda raw: raw.update(range_constraints=limits))})
    refused(lambda: load_backbone(a_copy.parent), a_copy, "is more than a formula, which could execute code", sprung)


def test_torch_gets_to_see_nothing_but_operations_and_plain_weights(a_copy):
    def change(raw):
        raw["guards_code"] = ["guard()"]
        raw["graph_module"]["graph"]["nodes"][0]["metadata"] = {"nn_module_stack": "a,b,torch.hub.load"}

    rewritten(
        a_copy,
        {
            MODEL: in_json(change),
            "data/aotinductor/model/model.so": b"compiled",
            "extra/notes.txt": b"notes",
        },
    )
    with zipfile.ZipFile(checked_archive(a_copy).content) as archive:
        passed_on = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    model = json.loads(passed_on[MODEL])
    assert model["guards_code"] == []
    assert [node["metadata"] for node in model["graph_module"]["graph"]["nodes"]] == [{}]
    assert passed_on["data/sample_inputs/model.pt"] == b""
    assert sorted(passed_on) == sorted(
        [
            *("archive_format", "archive_version", ".data/version", "byteorder", MODEL, WEIGHTS, CONSTANTS),
            *("data/weights/weight_0", "data/weights/weight_1", "data/sample_inputs/model.pt"),
        ]
    )


@pytest.mark.parametrize("other", ["constants", "weights"])
def test_the_old_records_of_pickled_tensors_are_never_read(a_copy, sprung, other):
    """An archive with them and with the new ones: torch would take the old ones."""
    rewritten(a_copy, {f"data/{other}/model.pt": saved(Trap(sprung))})
    assert load_backbone(a_copy.parent).n_parameters == 6
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("data/aotinductor/model/model.so", r"it holds compiled code \(AOTInductor\) and no exported program"),
        ("serialized_exported_program.json", "was saved by PyTorch 2.7 or earlier, with its weights as pickles"),
        ("hello", r"it holds no models/model\.json"),
    ],
)
def test_other_archives_in_place_of_an_exported_program(tmp_path, sprung, record, reason):
    folder = write_folder(tmp_path / "net", model={"exported": "model.pt2"})
    with zipfile.ZipFile(folder / "model.pt2", "w") as archive:
        archive.writestr(f"model/{record}", pickle.dumps(Trap(sprung)))
    refused(lambda: load_backbone(folder), folder / "model.pt2", reason, sprung)


def test_a_record_that_is_there_twice_is_refused(a_copy, sprung):
    with warnings.catch_warnings(), zipfile.ZipFile(a_copy, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("other/models/model.json", "{}")
    refused(lambda: load_backbone(a_copy.parent), a_copy, r"it holds models/model\.json twice", sprung)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and nothing", "pickle", "saved", "half"])
def test_garbage_in_place_of_an_exported_program(a_copy, sprung, content):
    made = {"pickle": pickle.dumps(Trap(sprung)), "saved": saved(Trap(sprung)), "half": a_copy.read_bytes()[:2000]}
    a_copy.write_bytes(made.get(content, content))
    reason = r"is not an exported program, or is damaged|it holds no models/model\.json"
    refused(lambda: load_backbone(a_copy.parent), a_copy, reason, sprung)


def test_describing_a_folder_runs_nothing_of_it(tmp_path, sprung):
    folder = write_folder(tmp_path / "net", model={"factory": "network.py:build", "weights": "weights.pt"})
    (folder / "network.py").write_text(f"import os\nos.mkdir({str(sprung)!r})\ndef build(): pass")
    torch.save(Trap(sprung), folder / "weights.pt")
    assert describe_backbone(folder).name == "test"
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (..., ["model.ts is a program (TorchScript)."]),
        ({"torchscript": "net.pt"}, ["net.pt is a program (TorchScript)."]),
        ({"factory": "network.py:build"}, ["network.py is a program (Python)."]),
        ({"factory": "package.module:build", "weights": "w.pt"}, ["package.module is a program (Python)."]),
        ({"exported": "model.pt2"}, []),
        ("nonsense", []),
    ],
)
def test_programs_are_named_before_anything_runs(tmp_path, model, expected):
    assert code_in(write_folder(tmp_path, model=model)) == expected


def test_programs_are_named_through_a_pointing_description_too(tmp_path):
    write_folder(tmp_path / "net", scripted(torch.nn.Conv3d(1, 3, 1)))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "backbone.json").write_text('{"format": 1, "folder": "../net"}')
    assert code_in(mine) == ["model.ts is a program (TorchScript)."]


def test_of_other_folders_what_lies_in_them_counts(tmp_path):
    assert code_in(tmp_path) == code_in(tmp_path / "absent") == []
    for name in ("configs/inference.json", "models/model.pt", "models/model.ts", "scripts/run.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert code_in(tmp_path) == ["models/model.ts is a program (TorchScript)."]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "backbone.json").write_text('{"format": 1, "folder": ".."}')
    assert code_in(tmp_path / "mine") == ["models/model.ts is a program (TorchScript)."]
    (tmp_path / "mine" / "backbone.json").write_text('{"format": 1, "folder": "..", "trust": true}')
    assert code_in(tmp_path / "mine") == [
        "models/model.ts is a program (TorchScript).",
        "scripts/run.py is a program (Python).",
        "configs/inference.json is a program (a MONAI configuration that may call any Python).",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", '"model"'])
def test_a_damaged_description_is_no_obstacle_to_looking(tmp_path, text):
    (tmp_path / "backbone.json").write_text(text)
    assert code_in(tmp_path) in ([], ["model.ts is a program (TorchScript)."])


def test_license_files_are_found_by_their_usual_names(tmp_path):
    (tmp_path / "LICENSE_x.txt").write_text("\n  MIT License\n\nCopyright")
    (tmp_path / "Notice").write_text("")
    (tmp_path / "COPYING").mkdir()
    (tmp_path / "readme.txt").write_text("license")
    assert licenses_in(tmp_path) == ["MIT License (LICENSE_x.txt)", "Notice"]


def test_the_license_is_the_named_one_else_that_of_the_folder(tmp_path):
    folder = write_folder(tmp_path)
    assert describe_backbone(folder).license == ""
    (folder / "LICENSE").write_text("CC BY-NC 4.0\nmore")
    assert describe_backbone(folder).license == "CC BY-NC 4.0 (LICENSE)"
    assert describe_backbone(write_folder(tmp_path, license="mine")).license == "mine"

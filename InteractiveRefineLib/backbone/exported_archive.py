"""Exported programs (.pt2) taken apart and put together again, so that nothing but tensor operations is left.

`torch.export.load` unpickles (example inputs, weights marked so), evaluates formulas of sizes as Python, executes
guards, imports modules named in input structures, and resolves operations by dotted names below `torch`: each of
these can run code. Here the archive's JSON and raw weights are read, everything in them that is evaluated is compared
with a short list of what exported networks need, the rest is left out, and PyTorch gets to see only the new archive.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import BackboneError

_MODEL = "models/model.json"
_CONFIGS = {
    "data/weights/": "data/weights/model_weights_config.json",
    "data/constants/": "data/constants/model_constants_config.json",
}
#: Records of fixed text that are passed on as they are.
_PLAIN = ("archive_format", "archive_version", ".data/version", "byteorder", "version")
_OPERATION = re.compile(r"torch\.ops\.aten\.([a-z_][a-z0-9_]*)\.([A-Za-z_][A-Za-z0-9_]*)")
#: Operations on sizes, as PyTorch names them.
_ARITHMETIC = {
    "_operator.add", "_operator.sub", "_operator.mul", "_operator.floordiv", "_operator.truediv", "_operator.mod",
    "_operator.neg", "_operator.pow", "_operator.eq", "_operator.ne", "_operator.lt", "_operator.le",
    "_operator.gt", "_operator.ge", "_operator.and_", "_operator.or_", "_operator.not_", "_operator.getitem",
    "math.ceil", "math.floor", "math.trunc", "math.sqrt", "torch.sym_min", "torch.sym_max", "torch.sym_int",
    "torch.sym_float", "torch.sym_ite", "torch.sym_not", "torch.sym_sum",
}  # fmt: skip
#: Functions of sizes, as sympy and torch.utils._sympy name them.
_SIZE_FUNCTIONS = {
    "Add", "Mul", "Pow", "Max", "Min", "Mod", "Integer", "Float", "Rational", "Symbol", "floor", "ceiling", "Abs",
    "FloorDiv", "ModularIndexing", "Where", "PythonMod", "CleanDiv", "CeilToInt", "FloorToInt", "CeilDiv", "LShift",
    "RShift", "PowByNatural", "FloatPow", "FloatTrueDiv", "IntTrueDiv", "TruncToFloat", "TruncToInt", "RoundToInt",
    "RoundDecimal", "ToFloat", "Identity", "IsNonOverlappingAndDenseIndicator", "Equality", "Unequality",
    "StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan", "And", "Or", "Not",
}  # fmt: skip
_SIZE_NODES = (
    ast.Expression, ast.Call, ast.Name, ast.Constant, ast.keyword, ast.Load, ast.UnaryOp, ast.BinOp, ast.Compare,
    ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_SYMBOL = re.compile(r"[a-z]{1,4}\d+|[+-]?\d*\.?\d+(e[+-]?\d+)?")
_STRUCTURES = {None, "builtins.tuple", "builtins.list", "builtins.dict"}


@dataclass(frozen=True)
class CheckedArchive:
    """An exported program that holds tensor operations only.

    Attributes:
        content: the new archive, for `torch.export.load`.
        input_shape: the input's axes, each a number where it is fixed, or None where any size will do.
    """

    content: io.BytesIO
    input_shape: tuple[int | None, ...]


class _Refused(Exception):
    """Something that an exported network does not need; the text says what, as the end of a sentence."""


def checked_archive(path: Path) -> CheckedArchive:
    """Read an exported program, and leave of it what a network needs.

    Raises:
        BackboneError: it is none, or holds anything that could run code; the text says what.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked(archive)
    except _Refused as refused:
        raise BackboneError(
            f"{path} was not opened further: {refused}. Save the network with "
            "torch.export.save(torch.export.export(network.eval(), (example,)), 'model.pt2')."
        ) from refused
    except Exception as error:  # a damaged archive, or JSON of another form: whatever reading it raises
        raise BackboneError(
            f"{path} is not an exported program, or is damaged ({type(error).__name__}: {error}). Save the network "
            "with torch.export.save(torch.export.export(network.eval(), (example,)), 'model.pt2'), by PyTorch 2.8 or "
            "later."
        ) from error


def _checked(archive: zipfile.ZipFile) -> CheckedArchive:
    records = {}
    for info in archive.infolist():
        name = info.filename.partition("/")[2] or info.filename  # all lie below one folder
        if name in records:
            raise _Refused(f"it holds {name} twice")
        records[name] = info
    if _MODEL not in records:
        raise _Refused(_why_no_model(records))
    model = json.loads(archive.read(records[_MODEL]))
    _check_model(model)
    kept = {name: archive.read(records[name]) for name in _PLAIN if name in records}
    for folder, config_name in _CONFIGS.items():
        config = json.loads(archive.read(records[config_name]))
        for name, entry in config["config"].items():
            file = entry["path_name"]
            if entry.get("use_pickle") is not False or not re.fullmatch(r"(weight|tensor)_\d+", file):
                raise _Refused(f"it holds {name!r} as a pickle ({folder}{file}), which could execute code")
            kept[folder + file] = archive.read(records[folder + file])
        _check_formulas(config)
        kept[config_name] = json.dumps(config).encode()
    kept[_MODEL] = json.dumps(model).encode()
    kept["data/sample_inputs/model.pt"] = b""  # a pickle, of no use here
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as new:
        for name, value in kept.items():
            new.writestr(f"model/{name}", value)
    content.seek(0)
    return CheckedArchive(content, _input_shape(model))


def _why_no_model(records: dict[str, zipfile.ZipInfo]) -> str:
    if any(name.startswith("data/aotinductor") for name in records):
        return "it holds compiled code (AOTInductor) and no exported program"
    if "serialized_exported_program.json" in records:
        return "it was saved by PyTorch 2.7 or earlier, with its weights as pickles; save it again by a later one"
    return f"it holds no {_MODEL}"


def _check_model(model: dict[str, Any]) -> None:
    """Raise _Refused for what could run code; take out what nothing needs."""
    model["guards_code"] = []  # executed as Python
    for node in _objects(model):
        if "target" in node and "inputs" in node:
            _check_operation(node)
            node["metadata"] = {}
        for key in ("as_operator", "as_custom_obj", "as_graph", "as_graphs"):
            if node.get(key) is not None:
                raise _Refused(f"it uses {json.dumps(node[key])[:80]}, which is no tensor operation")
        for key in ("in_spec", "out_spec"):
            if node.get(key):
                _check_structure(json.loads(node[key])[1])
    _check_formulas(model)
    for symbol in model.get("range_constraints", {}):
        _check_formula(symbol)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield value
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _check_operation(node: dict[str, Any]) -> None:
    target = str(node["target"])
    if target in _ARITHMETIC:
        return
    named = _OPERATION.fullmatch(target)
    if named is None:
        raise _Refused(f"it calls {target!r}, which is no operation of torch.ops.aten")
    packet = getattr(torch.ops.aten, named[1], None)
    operation = getattr(packet, named[2], None)
    if operation is None:
        raise _Refused(f"it calls {target!r}, which PyTorch {torch.__version__} does not have")
    if any("file" in argument.name for argument in operation._schema.arguments):
        raise _Refused(f"it calls {target!r}, which reads or writes files")
    for given in node["inputs"]:
        if given["name"] in ("training", "train") and given["arg"].get("as_bool") is True:
            raise _Refused(f"it was exported while training ({target}); call network.eval() before the export")


def _check_structure(structure: dict[str, Any]) -> None:
    """Raise _Refused unless an input or output structure is made of tuples, lists and dicts."""
    for part in _objects(structure):
        if "type" in part and part["type"] not in _STRUCTURES:
            raise _Refused(f"its inputs or outputs are of type {part['type']}")


def _check_formulas(value: Any) -> None:
    for part in _objects(value):
        if "expr_str" in part:
            _check_formula(part["expr_str"])


def _check_formula(text: str) -> None:
    """Raise _Refused unless a formula of sizes is arithmetic; PyTorch evaluates it as Python."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise _Refused(f"the size {str(text)[:80]!r} is no formula") from error
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        fine = isinstance(node, _SIZE_NODES)
        if isinstance(node, ast.Name):
            fine = node.id in _SIZE_FUNCTIONS if id(node) in called else bool(_SYMBOL.fullmatch(node.id))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            fine = bool(_SYMBOL.fullmatch(node.value))
        if not fine:
            raise _Refused(f"the size {text[:80]!r} is more than a formula, which could execute code")


def _input_shape(model: dict[str, Any]) -> tuple[int | None, ...]:
    graph = model["graph_module"]["graph"]
    inputs = [spec["user_input"] for spec in model["graph_module"]["signature"]["input_specs"] if "user_input" in spec]
    if len(inputs) != 1 or "as_tensor" not in inputs[0]["arg"]:
        raise _Refused(f"its network takes {len(inputs)} inputs; one tensor (1, channels, ...) is needed")
    name = inputs[0]["arg"]["as_tensor"]["name"]
    return tuple(size.get("as_int") for size in graph["tensor_values"][name]["sizes"])

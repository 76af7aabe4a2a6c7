"""The rules that keep the layers apart: who may import whom, what is never executed, what is shipped."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "InteractiveRefineLib"
MODULE = ROOT / "InteractiveRefine"
SLICER_PACKAGES = {"slicer", "qt", "vtk", "ctk", "vtkmodules", "PythonQt"}
#: The parts of the library that compute with networks; everything else must work before torch is installed.
NEEDS_TORCH = {"backbone", "partial", "tuning", "decoding", "scratch", "outlines", "network_round", "strokes_round"}
NEEDS_TORCH |= {"session", "image_state", "standardized", "report", "device", "dispatch", "smaller"}

LIBRARY_FILES = sorted(LIBRARY.rglob("*.py"))
MODULE_FILES = sorted(MODULE.rglob("*.py"))
PRODUCT_FILES = LIBRARY_FILES + MODULE_FILES


def relative(path):
    return path.relative_to(ROOT).as_posix()


def needs_torch(path):
    return path.relative_to(LIBRARY).with_suffix("").parts[0] in NEEDS_TORCH


def module_name(path):
    base = MODULE if path.is_relative_to(MODULE) else ROOT  # Slicer finds the module's packages beside its file
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def runs_at_import(node):
    """The nodes below `node` that run when the module is imported: not function bodies, not TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from runs_at_import(child)


def imports_of(path, at_import_only=False):
    """Absolute dotted names that a file imports."""
    tree = tree_of(path)
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    names = set()
    for node in runs_at_import(tree) if at_import_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return names


def library_imports(path):
    """The files of the library that a file imports when it is imported itself, parent packages included."""
    files = {module_name(p): p for p in LIBRARY_FILES}
    found = set()
    for name in imports_of(path, at_import_only=True):
        parts = name.split(".")
        found |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & files.keys()
    return {files[name] for name in found} - {path}


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=relative)
def test_the_library_knows_nothing_of_slicer_nor_of_the_module(path):
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert not roots & (SLICER_PACKAGES | {"InteractiveRefine", "Testing"})


def test_the_module_imports_only_what_slicer_bundles_when_it_is_loaded():
    """Slicer bundles numpy; of the library, what needs no torch is loaded at once, the rest in the worker."""
    ours = {"InteractiveRefineLib", "InteractiveRefineScene", "InteractiveRefineEffect"}
    for path in MODULE_FILES:
        names = imports_of(path, at_import_only=True)
        roots = {name.split(".")[0] for name in names}
        assert roots <= SLICER_PACKAGES | ours | {"numpy", "SampleData", "SegmentEditorEffects"} | set(
            sys.stdlib_module_names
        ), relative(path)
        assert not any(name.startswith(f"InteractiveRefineLib.{part}") for name in names for part in NEEDS_TORCH)


def test_nothing_in_slicers_process_ever_imports_torch():
    for path in MODULE_FILES:
        assert "torch" not in {name.split(".")[0] for name in imports_of(path)}, relative(path)


def test_imports_go_from_effect_and_module_to_scene_to_library():
    """The scene layer runs without a window: it knows neither Qt nor the effect."""
    for path in sorted((MODULE / "InteractiveRefineScene").rglob("*.py")):
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert not roots & {"qt", "ctk", "PythonQt", "InteractiveRefineEffect", "InteractiveRefine"}, relative(path)
    for path in sorted((MODULE / "InteractiveRefineEffect").rglob("*.py")):
        assert "InteractiveRefine" not in {name.split(".")[0] for name in imports_of(path)}, relative(path)


def test_only_the_command_line_imports_the_command_line():
    for path in LIBRARY_FILES:
        if path.parent.name != "cli" and path.name != "__main__.py":  # python -m InteractiveRefineLib is the command
            assert not any("cli" in name.split(".") for name in imports_of(path)), relative(path)


def test_imports_go_one_way():
    """No file imports itself over others (packages count as their files, not as their __init__)."""
    graph = {p: {q for q in library_imports(p) if q.name != "__init__.py"} for p in LIBRARY_FILES}
    done, active = set(), []

    def visit(path):
        assert path not in active, "cycle: " + " -> ".join(relative(p) for p in [*active, path])
        if path in done:
            return
        active.append(path)
        for target in sorted(graph[path]):
            visit(target)
        done.add(active.pop())

    for path in LIBRARY_FILES:
        visit(path)


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=relative)
def test_light_parts_reach_no_torch(path):
    if needs_torch(path):
        return
    todo, seen = [path], set()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        roots = {name.split(".")[0] for name in imports_of(current, at_import_only=True)}
        assert "torch" not in roots, f"{relative(path)} loads torch through {relative(current)}"
        todo += library_imports(current)


def test_light_parts_and_the_help_work_without_torch():
    light = [module_name(p) for p in LIBRARY_FILES if not needs_torch(p)]
    code = (
        "import sys, importlib\n"
        "sys.modules['torch'] = None  # any import of it now fails\n"
        f"for name in {light!r}: importlib.import_module(name)\n"
        "from InteractiveRefineLib.cli.main import main\n"
        "sys.exit(main(['refine', '--help']))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "--scribbles" in run.stdout


@pytest.mark.parametrize("path", PRODUCT_FILES, ids=relative)
def test_nothing_that_a_user_hands_over_is_unpickled(path):
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert not roots & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
        if called == "torch.load":
            assert keywords.get("weights_only") == "True", f"line {node.lineno}"
        if called in ("np.load", "numpy.load"):
            assert keywords.get("allow_pickle", "False") == "False", f"line {node.lineno}"
        assert called not in ("eval", "exec"), f"line {node.lineno}"


@pytest.mark.parametrize("path", PRODUCT_FILES, ids=relative)
def test_files_are_short_and_say_what_they_are_for(path):
    assert ast.get_docstring(tree_of(path)), "no docstring"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", PRODUCT_FILES, ids=relative)
def test_product_code_does_not_print_past_the_command_line(path):
    if path.parent.name == "cli":
        return
    calls = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.Call) and ast.unparse(n.func) == "print"]
    assert not calls, f"print in line {calls[0].lineno}"


def cmake_list(path, variable):
    """Entries of `set(variable ...)` in a CMakeLists.txt, with ${MODULE_NAME} filled in."""
    text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
    name = re.search(r"set\(MODULE_NAME (\w+)\)", text).group(1)
    entries = re.search(rf"set\({variable}\s+(.*?)\)", text, re.DOTALL).group(1).split()
    return [entry.replace("${MODULE_NAME}", name) for entry in entries]


@pytest.mark.parametrize("folder", [LIBRARY, MODULE], ids=relative)
def test_cmake_ships_every_file(folder):
    listed = cmake_list(folder / "CMakeLists.txt", "MODULE_PYTHON_SCRIPTS")
    present = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.py"))
    assert len(set(listed)) == len(listed)
    assert sorted(listed) == present

    resources = cmake_list(folder / "CMakeLists.txt", "MODULE_PYTHON_RESOURCES")
    below = MODULE / "Resources" if folder == MODULE else ROOT / "Resources" / "Backbones"
    # A folder's README tells developers how its files were made; nobody needs it at run time.
    expected = {p.resolve() for p in below.rglob("*") if p.is_file() and p.suffix != ".md"}
    assert {(folder / entry).resolve() for entry in resources} == expected


def test_no_file_names_a_place_on_somebodys_machine():
    place = re.compile(r"(?<![\w.~>}])/(?:root|home|Users|work|opt|mnt|srv)/\w|\b[A-Z]:\\\\?\w")
    kinds = {".py", ".md", ".toml", ".txt", ".json", ".cfg", ".yml", ".yaml", ".ui"}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden = parts[0].startswith(".") and parts[0] != ".ci"
        if hidden or parts[0] in ("build", "dist", "demo-output") or not path.is_file():
            continue
        if path.suffix in kinds or path.name in ("Makefile", "run"):
            found = place.search(path.read_text(encoding="utf-8"))
            assert not found, f"{relative(path)}: {found.group()!r}"

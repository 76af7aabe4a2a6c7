"""What is installed, and that the README's promises about installing and running hold."""

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import InteractiveRefineLib
from InteractiveRefineLib.resources import embedded_backbone

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "InteractiveRefineLib"
#: Of https://www.apache.org/licenses/LICENSE-2.0.txt
APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def make_targets():
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_the_version_is_written_in_one_place(project):
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "InteractiveRefineLib.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", InteractiveRefineLib.__version__)


def test_every_package_of_the_library_is_installed(project):
    packages = {".".join(p.parent.relative_to(ROOT).parts) for p in LIBRARY.rglob("__init__.py")}
    folders = {".".join(p.parent.relative_to(ROOT).parts) for p in LIBRARY.rglob("*.py")}
    assert folders == packages, "a folder with Python files lacks __init__.py"
    assert set(project["tool"]["setuptools"]["packages"]) == packages | {"InteractiveRefineLib._resources"}


def test_the_console_script_exists(project):
    module, function = project["project"]["scripts"]["interactive-refine"].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_extras_are_those_promised(project, readme):
    extras = set(project["project"]["optional-dependencies"])
    assert extras == {"nnunet", "monai", "batch", "bench", "evidence", "slicer-test", "dev"}
    assert all(f"`{extra}`" in readme for extra in extras)


def test_every_dependency_is_pinned_for_the_tests_and_explained_in_the_readme(project, readme):
    lines = [re.sub(r"#.*", "", line).strip() for line in (ROOT / "requirements/dev.txt").read_text().splitlines()]
    lines = [line for line in lines if line]
    assert all(re.match(r"[\w.-]+==[\w.]+($|;)", line) for line in lines), "not pinned"
    pinned = {re.split("==", line)[0].lower() for line in lines}
    needed = {re.split("[><=]", d)[0] for d in project["project"]["dependencies"]}
    extras = project["project"]["optional-dependencies"]
    tools = {re.split("[><=]", d)[0] for d in extras["dev"] + extras["batch"] + extras["bench"] + extras["slicer-test"]}
    assert pinned == {name.lower() for name in needed | tools}
    assert all(f"| {name} |" in readme for name in needed)


def test_the_lock_has_every_pinned_version_but_torchs():
    marker = re.compile(r';.*python_version *< *"3.11"')  # the lock is for 3.11
    lines = [
        line.split(";")[0].strip().lower().replace("_", "-")
        for name in ("dev.txt", "networks.txt")
        for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#") and not marker.search(line)
    ]
    lock = (ROOT / "requirements/ci.lock").read_text(encoding="utf-8").splitlines()
    locked = {line.split(" --hash")[0] for line in lock if not line.startswith("#")}
    assert set(lines) - locked == {next(line for line in lines if line.startswith("torch=="))}
    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}$", line) for line in lock if not line.startswith("#"))


def test_no_package_index_is_chosen_for_the_user():
    for name in ("Makefile", "pyproject.toml", "requirements/dev.txt", ".ci/run"):
        assert not re.search("index-url|find-links", (ROOT / name).read_text(encoding="utf-8")), name


def test_the_readme_opens_with_two_commands_that_exist(readme, make_targets):
    first_block = re.search(r"```\n(.*?)```", readme, re.DOTALL)
    assert first_block.group(1).split("\n") == ["make demo", "make test", ""]
    assert readme.index("```") < 60, "something stands before the commands"
    assert set(re.findall(r"\bmake ([a-z][\w-]+)", readme)) <= make_targets


def test_continuous_integration_runs_the_readmes_test_command():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert re.search(r"^make test\b", text, re.MULTILINE)


def test_a_page_tells_where_every_file_is():
    section = (ROOT / "Docs" / "where-to-find-what.md").read_text(encoding="utf-8")
    for path in LIBRARY.rglob("*.py"):
        if path.name != "__init__.py":
            assert f"`{path.relative_to(LIBRARY).as_posix()}`" in section, f"{path.name} is not on the page"


def test_troubleshooting_quotes_errors_that_exist(readme):
    sources = [*LIBRARY.rglob("*.py"), ROOT / "Makefile"]
    text = "\n".join(p.read_text(encoding="utf-8") for p in sources)
    text = re.sub(r'"\s*\n\s*f?"', "", text)  # long messages are written in pieces
    text = text.replace("{CONFIG_NAME}", "backbone.json")
    section = readme.split("## Troubleshooting")[1].split("\n## ")[0]
    quoted = re.findall(r"\*\*`([^`]+)`\*\*", section)
    assert len(quoted) > 10
    assert [q for q in quoted if q not in text] == []


def test_the_license_is_the_complete_apache_license(project):
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_SHA256
    assert project["project"]["license"] == "Apache-2.0"


def test_the_embedded_backbone_is_small_and_complete():
    folder = embedded_backbone()
    assert (folder / "backbone.json").is_file()
    assert (folder / "model.ts").stat().st_size < 4_000_000


@pytest.mark.parametrize("place", ["Resources", "InteractiveRefineLib/_resources"])
def test_the_embedded_backbone_is_found_beside_the_package_and_inside_it(tmp_path, place):
    """A checkout and Slicer keep Resources beside the package, a wheel inside it."""
    library = tmp_path / "InteractiveRefineLib"
    library.mkdir()
    for name in ("__init__.py", "errors.py", "resources.py"):
        shutil.copy(LIBRARY / name, library)
    command = [
        sys.executable,
        "-c",
        "from InteractiveRefineLib.resources import embedded_backbone; print(embedded_backbone())",
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode != 0
    assert "The embedded backbone PhantomAbdomen is missing; looked in" in run.stderr

    folder = tmp_path / place / "Backbones" / "PhantomAbdomen"
    folder.mkdir(parents=True)
    (folder / "backbone.json").write_text("{}")
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).resolve() == folder.resolve()


def setuptools_is_new_enough():
    try:
        return int(metadata.version("setuptools").split(".")[0]) >= 77
    except metadata.PackageNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not setuptools_is_new_enough(), reason="building a wheel offline needs setuptools 77 or later here")
def test_the_wheel_holds_library_and_backbone_and_nothing_else(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("InteractiveRefineLib", "Resources", "Testing"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path]
    command = [sys.executable, "-m", "pip", "wheel", *options, source]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"interactive_refine-{InteractiveRefineLib.__version__}-")
    files = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    expected = {p.relative_to(ROOT).as_posix() for p in LIBRARY.rglob("*.py")}
    backbone = "InteractiveRefineLib/_resources/Backbones/PhantomAbdomen/"
    assert {backbone + "backbone.json", backbone + "model.ts"} <= files
    assert {f for f in files if "/_resources/" not in f} == expected

"""Write requirements/ci.lock: all packages but torch with the hashes of their files, as pip resolves them here and now.

python requirements/make_lock.py   (with Python 3.11 on Linux x86-64, after dev.txt or networks.txt changed)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def resolved(requirements: str, *options: str) -> dict[str, str]:
    """Lines of the lock, by name of the package."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", *options]
        subprocess.run([*command, "--report", str(report), "-r", str(HERE / requirements)], check=True)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    lines = {}
    for package in found:
        name, version = package["metadata"]["name"].lower().replace("_", "-"), package["metadata"]["version"]
        lines[name] = f"{name}=={version} --hash=sha256:{package['download_info']['archive_info']['hashes']['sha256']}"
    return lines


def main() -> None:
    """Keep the explanation at the top of the file, replace all lines."""
    lock = HERE / "ci.lock"
    head = [line for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    lines = {**resolved("dev.txt"), **resolved("networks.txt", "--no-deps")}
    lines.pop("torch", None)
    lock.write_text("\n".join([*head, *(lines[name] for name in sorted(lines))]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

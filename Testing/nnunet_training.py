"""Train small networks with nnU-Net's own planner, preprocessor and trainer on a handful of hippocampus crops.

python -m Testing.nnunet_training my-nnunet --iterations 120

The entry points of nnU-Net's commands run, with the arguments a user would type, one after the other in this process:
each command alone would load everything anew. For time only, the planned networks are narrower than a user's, one epoch
of few iterations is trained with Adam (nnU-Net has such a trainer, too), and the final validation is left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .real_data import require_data

SOFTMAX, REGIONS = "Dataset004_Hippocampus", "Dataset005_HippocampusRegions"
_LABELS = {
    SOFTMAX: {"labels": {"background": 0, "Anterior": 1, "Posterior": 2}},
    REGIONS: {"labels": {"background": 0, "Hippocampus": [1, 2], "Posterior": 2}, "regions_class_order": [1, 2]},
}
#: The trained-model folders: dataset, configuration, share of the iterations.
MODELS = {
    "3d_fullres": (SOFTMAX, "3d_fullres", 1.0),
    "2d": (SOFTMAX, "2d", 0.5),
    "regions": (REGIONS, "3d_fullres", 0.5),
}
_COMMANDS = {
    "nnUNetv2_plan_and_preprocess": (
        "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints",
        "plan_and_preprocess_entry",
    ),
    "nnUNetv2_preprocess": ("nnunetv2.experiment_planning.plan_and_preprocess_entrypoints", "preprocess_entry"),
    "nnUNetv2_train": ("nnunetv2.run.run_training", "run_training_entry"),
}


def train(target: Path, iterations: int = 120) -> dict[str, Path]:
    """Train everything in another process, so that nnU-Net's settings stay out of this one; model folders by name."""
    command = [sys.executable, "-m", "Testing.nnunet_training", str(target), "--iterations", str(iterations)]
    root = Path(__file__).resolve().parents[1]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=1200)
    if run.returncode:
        raise RuntimeError(f"{run.stdout[-3000:]}\n{run.stderr[-3000:]}")
    return model_folders(target)


def model_folders(target: Path) -> dict[str, Path]:
    """The trained-model folders below `target` by the names of MODELS."""
    trained = {name: (dataset, configuration) for name, (dataset, configuration, _) in MODELS.items()}
    return {n: target / "results" / d / f"nnUNetTrainer__nnUNetPlans__{c}" for n, (d, c) in trained.items()}


def training_cases(count: int = 6) -> list[str]:
    """Training cases of split.json that are there."""
    data = require_data()
    split = json.loads((data / "net_hippocampus" / "split.json").read_text(encoding="utf-8"))
    return [c for c in split["train"] if (data / "hippocampus_mr" / "images" / f"{c}.nii.gz").is_file()][:count]


def _write_dataset(folder: Path, labels: dict) -> None:
    cases = training_cases()
    source = require_data() / "hippocampus_mr"
    for name, kind, suffix in (("imagesTr", "images", "_0000"), ("labelsTr", "labels", "")):
        (folder / name).mkdir(parents=True)
        for case in cases:
            shutil.copy(source / kind / f"{case}.nii.gz", folder / name / f"{case}{suffix}.nii.gz")
    described = {"channel_names": {"0": "MRI"}, "numTraining": len(cases), "file_ending": ".nii.gz", **labels}
    described["licence"] = "CC BY-SA 4.0"
    (folder / "dataset.json").write_text(json.dumps(described), encoding="utf-8")


def _make_narrow(plans: Path) -> None:
    """Narrower networks and small batches in a plans file, as a user would edit it."""
    said = json.loads(plans.read_text(encoding="utf-8"))
    for name in ("2d", "3d_fullres"):
        arguments = said["configurations"][name]["architecture"]["arch_kwargs"]
        arguments["features_per_stage"] = [min(8 * 2**i, 32) for i in range(arguments["n_stages"])]
        said["configurations"][name]["batch_size"] = 2 if name == "3d_fullres" else 8
        said["configurations"][name]["patch_size"] = [24, 40, 24] if name == "3d_fullres" else [40, 32]
    plans.write_text(json.dumps(said), encoding="utf-8")


def _command(name: str, *arguments: str) -> None:
    """Run one of nnU-Net's commands with the arguments of its command line."""
    module, function = _COMMANDS[name]
    before, start = sys.argv, time.perf_counter()
    sys.argv = [name, *arguments]
    try:
        getattr(importlib.import_module(module), function)()
    finally:
        sys.argv = before
    print(f"{name} {' '.join(arguments)}: {time.perf_counter() - start:.1f} s", file=sys.stderr)


@contextmanager
def _short_training(iterations: int) -> Iterator[None]:
    """nnU-Net's trainer with one epoch of few iterations and without the final validation."""
    import numpy as np
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    replaced = {name: getattr(nnUNetTrainer, name) for name in ("__init__", "configure_optimizers")}
    replaced["perform_actual_validation"] = nnUNetTrainer.perform_actual_validation

    def short(self, plans, configuration, fold, dataset_json, device=None):  # nnU-Net looks at these names
        np.random.seed(0)
        torch.manual_seed(0)
        replaced["__init__"](self, plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, iterations, 1

    def adam(self):
        optimizer = torch.optim.Adam(self.network.parameters(), lr=5e-3)
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)

    nnUNetTrainer.__init__, nnUNetTrainer.configure_optimizers = short, adam
    nnUNetTrainer.perform_actual_validation = lambda self, probabilities=False: None
    try:
        yield
    finally:
        for name, function in replaced.items():
            setattr(nnUNetTrainer, name, function)


def _train_all(target: Path, iterations: int) -> None:
    for dataset, labels in _LABELS.items():
        number = str(int(dataset[7:10]))
        _write_dataset(target / "raw" / dataset, labels)
        _command("nnUNetv2_plan_and_preprocess", "-d", number, "-npfp", "1", "--no_pp")
        _make_narrow(target / "preprocessed" / dataset / "nnUNetPlans.json")
        configurations = [c for d, c, _ in MODELS.values() if d == dataset]
        _command("nnUNetv2_preprocess", "-d", number, "-c", *configurations, "-np", *["1"] * len(configurations))
    os.environ.update(nnUNet_n_proc_DA="0")  # augment in this process; the planner needs a number of threads
    for dataset, configuration, share in MODELS.values():
        with _short_training(max(2, round(iterations * share))):
            _command("nnUNetv2_train", str(int(dataset[7:10])), configuration, "all", "-device", "cpu")


def main(argv: list[str] | None = None) -> int:
    """Train into a folder; its subfolder results holds what nnU-Net wrote."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--iterations", type=int, default=120, help="of the 3-D network")
    args = parser.parse_args(argv)
    for variable, name in (
        ("nnUNet_raw", "raw"),
        ("nnUNet_preprocessed", "preprocessed"),
        ("nnUNet_results", "results"),
    ):
        (args.folder / name).mkdir(parents=True)
        os.environ[variable] = str((args.folder / name).resolve())
    os.environ.update(nnUNet_n_proc_DA="1", nnUNet_def_n_proc="1", nnUNet_compile="f", MPLBACKEND="Agg")
    # nnU-Net's helpers start as new interpreters, which takes them longer than their work here; and tests run beside
    # each other, one thread each.
    start_with = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: start_with("fork")
    multiprocessing.cpu_count = lambda: 1
    _train_all(args.folder, args.iterations)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

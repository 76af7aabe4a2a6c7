"""The real cases of the small networks: which are trained on, which are held out, and their true labels."""

from __future__ import annotations

import json

import numpy as np

from InteractiveRefineLib.channels import combine_channels
from InteractiveRefineLib.image_io import read_volume
from InteractiveRefineLib.volume import Volume
from Testing.real_data import hippocampus, hippocampus_cases, require_data

#: An image and its true labels, (K, J, I) uint16.
Case = tuple[Volume, np.ndarray]


def tumor(case: str) -> Case:
    """FLAIR and T1c of one BraTS 2015 case; 1 enhancing tumor, 2 the rest of it with the edema around."""
    folder = require_data() / "brats2015_mr" / case
    image = combine_channels([read_volume(folder / f"{name}_norm.nii.gz") for name in ("flair", "t1c")])
    return image, np.array([0, 2, 2, 2, 1], dtype=np.uint16)[read_volume(folder / "label.nii.gz").array]


def nuclei(case: str) -> Case:
    """One RGB picture of the 2018 Data Science Bowl; 1 nucleus, all nuclei together."""
    folder = require_data() / "dsb2018_nuclei"
    instances = read_volume(folder / f"{case}_instances.png").array
    return read_volume(folder / f"{case}_image.png"), (instances > 0).astype(np.uint16)


def abdomen_mr(case: str) -> Case:
    """One T2 MR of the abdomen; 1 liver, 2 right kidney, 3 left kidney, 4 spleen."""
    folder = require_data() / "chaos_mr_t2"
    truth = read_volume(folder / f"label_{case}.nii.gz").array
    return read_volume(folder / f"image_{case}.nii.gz"), truth.astype(np.uint16)


def nuclei_of(kind: str) -> list[str]:
    """The pictures of a kind: "grey-dark" (fluorescence), "colour-light" (stained tissue) or "grey-light"."""
    index = json.loads((require_data() / "dsb2018_nuclei" / "index.json").read_text(encoding="utf-8"))
    return [entry["id"] for entry in index if entry["kind"] == kind]


READERS = {"tumor": tumor, "nuclei": nuclei, "hippocampus-slices": hippocampus, "abdomen-mr": abdomen_mr}


def training_cases(network: str) -> list[str]:
    """The cases that a network of `train_small_nets` is trained on."""
    if network == "tumor":
        return ["brats_2013_pat0004_1", "brats_2013_pat0006_1"]
    if network == "abdomen-mr":
        return ["08", "10", "15", "19", "20"]
    return nuclei_of("grey-dark") if network == "nuclei" else _hippocampus_training()


def held_out_cases(network: str) -> list[str]:
    """The cases that it never saw; for nuclei, pictures of another kind."""
    if network == "tumor":
        return ["brats_2013_pat0003_1", "brats_2013_pat0005_1"]
    if network == "abdomen-mr":
        return ["01", "02", "03", "34", "37", "38"]
    return nuclei_of("colour-light") if network == "nuclei" else hippocampus_cases()


def _hippocampus_training() -> list[str]:
    """The training cases of split.json of which there are files."""
    folder = require_data()
    split = json.loads((folder / "net_hippocampus" / "split.json").read_text(encoding="utf-8"))
    return [case for case in split["train"] if (folder / "hippocampus_mr" / "images" / f"{case}.nii.gz").is_file()]

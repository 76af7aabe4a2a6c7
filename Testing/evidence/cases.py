"""All cases of the evidence: which there are, which half each belongs to, and how each is read."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np

from InteractiveRefineLib.backbone import load_backbone
from InteractiveRefineLib.geometry import box_of
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.volume import Volume
from Testing.evidence.case import Case, Spot
from Testing.evidence.coarser import coarser_labels, coarser_volume
from Testing.evidence.degrade import DEGRADATIONS, degraded
from Testing.evidence.networks import Networks
from Testing.real_data import chaos_ct, hippocampus, hippocampus_cases, right_kidney_reference, shifted
from Testing.small_cases import abdomen_mr, nuclei, nuclei_of, tumor

TUNE, REPORT = "tune", "report"
#: Hippocampus crops of each half; the even test cases are for tuning, the odd ones for the report.
CROPS = 8
ORGANS = ("liver", "right kidney", "left kidney", "spleen")
HIPPOCAMPUS = ("anterior hippocampus", "posterior hippocampus")
#: Blocks of voxels (K, J, I) that are averaged, so that every method ends in minutes.
CT_BLOCKS, MR_BLOCKS, BRAIN_BLOCKS = (1, 4, 4), (1, 2, 2), (2, 2, 2)
#: Voxels of one stroke at most: 35 mm on the CT (52 from scratch, as where its targets were measured), 37 on the MR,
#: 30 in the brain, 15 in the hippocampus, which is hardly longer. Pictures have no millimeters.
CT_LENGTH, CT_SCRATCH_LENGTH, MR_LENGTH, BRAIN_LENGTH, CROP_LENGTH, PICTURE_LENGTH = 12, 18, 15, 15, 15, 25


def spots(networks: Networks) -> list[Spot]:
    """Every case, in the order of the tables."""
    found = []
    for half, crops in _crops().items():
        worst = _worst(networks, crops, half)
        found += [Spot("hippocampus", "own errors", name, half) for name in worst]
        found += [Spot("hippocampus", "weak network", name, half) for name in crops[:CROPS]]
        kinds = list(DEGRADATIONS)
        found += [
            Spot("hippocampus", "degraded", f"{name} {kinds[i % len(kinds)]}", half)
            for i, name in enumerate(crops[: 2 * len(kinds)])
        ]
        found += [Spot("hippocampus", "missing label", name, half) for name in crops[:CROPS]]
        found += [Spot("hippocampus", "from scratch", name, half) for name in crops[:CROPS]]
    for situation in ("own errors", "missing label", "degraded", "new organ"):
        found.append(Spot("abdomen CT", situation, "set3", REPORT))
    found += [Spot("abdomen CT", "from scratch", f"set3 {organ}", REPORT) for organ in ("liver", "right kidney")]
    for half, names in ((TUNE, ("01", "02", "03")), (REPORT, ("34", "37", "38"))):
        for situation in ("own errors", "from scratch"):
            found += [Spot("abdomen MR", situation, name, half) for name in names]
    # 0004 and 0006 trained the network, so they serve only where no network is used.
    for half, known, scratch in ((TUNE, ("0003",), ("0004", "0006")), (REPORT, ("0005",), ("0003", "0005"))):
        found += [Spot("brain tumor", "own errors", name, half) for name in known]
        found += [Spot("brain tumor", "from scratch", name, half) for name in scratch]
    pictures = nuclei_of("colour-light")
    for half, names in ((TUNE, pictures[::2]), (REPORT, pictures[1::2])):
        found += [Spot("nuclei", "own errors", name, half) for name in names]
    return found


def read_case(spot: Spot, networks: Networks) -> Case:
    """Image, truth and start of one case."""
    reader = {
        "hippocampus": _hippocampus,
        "abdomen CT": _abdomen_ct,
        "abdomen MR": _abdomen_mr,
        "brain tumor": _brain_tumor,
        "nuclei": _nuclei,
    }
    return reader[spot.dataset](spot, networks)


def _crops() -> dict[str, list[str]]:
    cases = hippocampus_cases()
    return {TUNE: cases[::2], REPORT: cases[1::2]}


def _worst(networks: Networks, crops: list[str], half: str) -> list[str]:
    """The crops that the good network gets most wrong; found once and kept beside the networks."""
    path = networks.folder / f"worst-{half}-{CROPS}.json"
    if not path.is_file():
        from InteractiveRefineLib.metrics import dice_per_class

        backbone = load_backbone(networks.get("hippocampus-full"))
        dice = {}
        for name in crops:
            image, truth = hippocampus(name)
            labels = RefineSession(image, backbone).predict()
            dice[name] = float(np.mean(list(dice_per_class(truth, labels, (1, 2)).values())))
        path.write_text(json.dumps(sorted(dice, key=dice.get)[:CROPS]), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def _hippocampus(spot: Spot, networks: Networks) -> Case:
    name, _, kind = spot.name.partition(" ")
    image, truth = hippocampus(name)
    if kind:
        image = degraded(image, kind)
    if spot.situation == "from scratch":
        return _from_scratch(spot, image, truth, HIPPOCAMPUS, CROP_LENGTH)
    network = {"weak network": "weak", "missing label": "miss"}.get(spot.situation, "full")
    return _with_network(spot, image, truth, networks, f"hippocampus-{network}", (1, 2), CROP_LENGTH)


@lru_cache(maxsize=2)
def _coarse_ct(shift: bool) -> tuple[Volume, np.ndarray, np.ndarray]:
    """The CT, its liver and its right kidney at 2.9 x 2.9 x 2 mm."""
    image, liver = chaos_ct()
    kidney = right_kidney_reference(image, liver)
    scan = coarser_volume(image, CT_BLOCKS)
    return shifted(scan) if shift else scan, coarser_labels(liver, CT_BLOCKS), coarser_labels(kidney, CT_BLOCKS)


def _abdomen_ct(spot: Spot, networks: Networks) -> Case:
    image, liver, kidney = _coarse_ct(spot.situation == "degraded")
    if spot.situation == "from scratch":
        organ = spot.name.partition(" ")[2]
        return _from_scratch(spot, image, liver if organ == "liver" else kidney, (organ,), CT_SCRATCH_LENGTH)
    added = ("right kidney",) if spot.situation == "new organ" else ()
    network = "abdomen-without-liver" if spot.situation == "missing label" else "abdomen"
    backbone = load_backbone(networks.get(network))
    session = RefineSession(image, backbone, new_classes=added)
    start = session.predict()
    label = session.label_of(added[0] if added else "liver")
    organ = (kidney if added else liver) > 0
    # Only this organ's truth is known: everything else should stay as the network has it. What the start falsely calls
    # liver (7 ml) counts as background: without its liver output the network calls 6.6 ml of it so.
    truth = np.where(start == label, 0, start)
    truth[organ] = label
    names = tuple(segment.name for segment in session.classes)
    return Case(
        spot, image, names, truth.astype(np.uint16), start, (label,), networks.get(network), added,
        stroke_length=CT_LENGTH, style="organ",
    )  # fmt: skip


def _abdomen_mr(spot: Spot, networks: Networks) -> Case:
    image, truth = abdomen_mr(spot.name)
    image, truth = coarser_volume(image, MR_BLOCKS), coarser_labels(truth, MR_BLOCKS)
    if spot.situation == "from scratch":
        return _from_scratch(spot, image, truth, ORGANS, MR_LENGTH)
    return _with_network(spot, image, truth, networks, "abdomen-mr", (1, 2, 3, 4), MR_LENGTH)


def _brain_tumor(spot: Spot, networks: Networks) -> Case:
    image, truth = tumor(f"brats_2013_pat{spot.name}_1")
    head = box_of(image.channels[0] > image.channels[0].min())
    matrix = image.ijk_to_ras.copy()
    matrix[:3, 3] = image.geometry.to_ras(np.array([[side.start for side in head]]))[0]
    image = Volume(image.array[(slice(None), *head)], matrix, image.name)
    image, truth = coarser_volume(image, BRAIN_BLOCKS), coarser_labels(truth[head], BRAIN_BLOCKS)
    if spot.situation == "from scratch":
        return _from_scratch(spot, image, (truth > 0).astype(np.uint16), ("tumor",), BRAIN_LENGTH)
    return _with_network(spot, image, truth, networks, "tumor", (1, 2), BRAIN_LENGTH)


def _nuclei(spot: Spot, networks: Networks) -> Case:
    image, truth = nuclei(spot.name)
    return _with_network(spot, image, truth, networks, "nuclei", (1,), PICTURE_LENGTH)


def _from_scratch(spot: Spot, image: Volume, truth: np.ndarray, names: tuple[str, ...], length: int) -> Case:
    scored = tuple(range(1, len(names) + 1))
    start = np.zeros_like(truth)
    return Case(spot, image, names, truth, start, scored, None, added=names, stroke_length=length)


def _with_network(
    spot: Spot, image: Volume, truth: np.ndarray, networks: Networks, network: str, scored: tuple[int, ...], length: int
) -> Case:
    folder = networks.get(network)
    session = RefineSession(image, load_backbone(folder))
    start = session.predict()
    names = tuple(segment.name for segment in session.classes)
    return Case(spot, image, names, truth, start, scored, folder, stroke_length=length)

"""The real CT at full size, as `Testing.real_ct` plays it, stored in the form of all other results."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from InteractiveRefineLib.backbone import load_backbone
from InteractiveRefineLib.session import RefineSession
from Testing.evidence.case import Spot
from Testing.evidence.method import Method
from Testing.evidence.networks import Networks
from Testing.evidence.store import Store
from Testing.evidence.summary import FULL_CT, OURS
from Testing.real_ct import CASES, Story, run_case
from Testing.real_data import chaos_ct, shifted

#: The robot's name: at most three strokes of 25 voxels a round.
ROBOT = "3 strokes of 25 voxels"
#: Case of `real_ct` and the situation it stands for.
SITUATIONS = {"liver": "own errors", "missing": "missing label", "shifted": "degraded", "kidney": "new organ"}
#: Update rule and the method it is; other rules than ours only correct the liver.
UPDATES = {"protected": OURS, "cross-entropy": "cross-entropy tuning", "paper": "Algorithm 1 as printed"}


def play_full_ct(store: Store, networks: Networks, methods: dict[str, Method], rounds: int = 5) -> Iterator[str]:
    """Play all stories that are not stored yet; a sentence about each as soon as it is stored."""
    for update, name in UPDATES.items():
        for case, situation in SITUATIONS.items():
            spot = Spot(FULL_CT, situation, "set3", "report")
            if (name != OURS and case != "liver") or store.find(spot, methods[name], ROBOT) is not None:
                continue
            with tempfile.TemporaryDirectory() as work:
                story = run_case(case, update, rounds, Path(work))
            others = others_at_start_ml(case, networks)
            store.keep(spot, methods[name], ROBOT, as_json(spot, name, story, others))
            yield f"{spot.key} {name}: " + " ".join(f"{dice:.4f}" for dice in story.dice)


def as_json(spot: Spot, method: str, story: Story, others_at_start_ml: float) -> dict[str, Any]:
    """One stored result; harm near the strokes is not measured there, so `harm_ml` is empty and far harm is apart."""
    organ, _ = CASES[story.case]
    return {
        **asdict(spot),
        "method": method,
        "names": {"1": organ},
        "others_at_start_ml": round(others_at_start_ml, 3),
        "rounds": [
            {
                "dice": {"1": round(r.dice, 5)},
                "strokes": r.strokes,
                "voxels": 0,
                "user_seconds": 0.0,
                "machine_seconds": r.seconds,
                "cpu_seconds": 0.0,
                "disobeyed": r.violated,
                "locked_voxels": r.locked_voxels,
                "harm_ml": [],
                "far_lost_ml": round(r.far_lost_ml, 3),
                "far_false_ml": round(r.far_false_ml, 3),
                "others_ml": round(r.others_ml, 3),
            }
            for r in story.rounds
        ],
    }


def others_at_start_ml(case: str, networks: Networks) -> float:
    """Milliliters of all organs but the corrected one in the network's own segmentation."""
    image, _ = chaos_ct()
    if case == "shifted":
        image = shifted(image)
    folder = networks.get("abdomen-without-liver" if case == "missing" else "abdomen")
    session = RefineSession(image, load_backbone(folder))
    start = session.predict()
    others = start > 0
    if CASES[case][0] in [segment.name for segment in session.classes]:
        others &= start != session.label_of(CASES[case][0])
    return float(others.sum() * image.geometry.voxel_volume_ml)

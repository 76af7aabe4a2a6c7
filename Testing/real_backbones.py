"""Ready backbone folders for the shared real networks, which link to the shared files instead of copying them.

python -m Testing.real_backbones all my-backbones
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from Testing.real_data import require_data

ABDOMEN_CLASSES = (
    "background", "spleen", "pancreas", "left kidney", "gallbladder", "esophagus", "liver", "stomach", "duodenum",
)  # fmt: skip
_HERE = Path(__file__).resolve().parent


def _abdomen() -> dict[str, Any]:
    return {
        "name": "Abdomen CT (OBELISK all-conv U-Net, fold 1)",
        "channels": [{"name": "CT"}],
        "classes": [{"name": n} for n in ABDOMEN_CLASSES],
        # The network's array is (x, y, z) with y and z against LPS.
        "axis_codes": "LAI",
        "tensor_axes": "IJK",
        "spatial_shape": [144, 144, 144],
        "crop": {"mode": "body", "threshold": -300, "fraction": 0.1},
        "intensity": {"rule": "none"},
        "license": "MIT (OBELISK); see its LICENSE",
    }


def _hippocampus(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "channels": [{"name": "T1"}],
        "classes": [{"name": n} for n in ("background", "anterior hippocampus", "posterior hippocampus")],
        "axis_codes": "RAS",
        "tensor_axes": "IJK",
        "crop": {"mode": "none"},
        "intensity": {"rule": "percentile-zscore", "low": 0.5, "high": 99.5},
        "divisible_by": 8,
    }


def _brain(name: str, labels_file: str) -> dict[str, Any]:
    table = json.loads((require_data() / "net_meshnet_brain" / labels_file).read_text(encoding="utf-8"))
    colors = zip(table["R"], table["G"], table["B"])
    classes = [
        {"name": label.replace("-", " "), "color": [round(part / 255, 3) for part in color]}
        for label, color in zip(table["labels"], colors)
    ]
    return {
        "name": name,
        "channels": [{"name": "T1"}],
        "classes": [{"name": "background"}, *classes[1:]],
        "axis_codes": "LIA",
        "tensor_axes": "IJK",
        "spacing": [1, 1, 1],
        "intensity": {"rule": "percentile-scale", "low": 2, "high": 98},
        "license": "MIT (brainchop)",
    }


def _meshnet_factory(channels: int, classes: int, elu: bool) -> dict[str, Any]:
    arguments = {"channels": channels, "classes": classes, "dilations": [1, 2, 4, 8, 16, 8, 4, 2, 1], "elu": elu}
    return {"factory": "network.py:build", "kwargs": arguments, "weights": "weights.safetensors"}


_TS = {"torchscript": "model.ts"}
_MESHNETS = {
    "brain": ("model18cls", lambda: _brain("Brain T1 (MeshNet, 18 classes)", "labels18.json"), (21, 18, True)),
    "brain-tissue": (
        "model5_gw_ae",
        lambda: _brain("Brain T1 tissue (MeshNet)", "model5_gw_ae/colormap3.json"),
        (5, 3, False),
    ),
}
#: Per network: its description, "model" of backbone.json, and which file of the shared data each file stands for.
NETWORKS: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, Any], dict[str, str | Path]]] = {
    "abdomen": (_abdomen, _TS, {"model.ts": "net_abdomen_ct/allconvunet_tcia_fold1.ts"}),
    "abdomen-weights": (
        _abdomen,
        {"factory": "network.py:build", "weights": "weights.pth"},
        {"network.py": _HERE / "allconv_network.py", "weights.pth": "net_abdomen_ct/allconvunet_tcia_fold1.pth"},
    ),
    **{
        f"hippocampus-{part}": (
            lambda part=part: _hippocampus(f"hippocampus {part}"),
            _TS,
            {"model.ts": f"net_hippocampus/{part}.ts"},
        )
        for part in ("full", "weak", "miss")
    },
    **{
        name: (describe, _TS, {"model.ts": f"net_meshnet_brain/{folder}/model.ts"})
        for name, (folder, describe, _) in _MESHNETS.items()
    },
    **{
        f"{name}-weights": (
            describe,
            _meshnet_factory(*shape),
            {
                "network.py": _HERE / "meshnet_network.py",
                "weights.safetensors": f"net_meshnet_brain/{folder}/model.safetensors",
            },
        )
        for name, (folder, describe, shape) in _MESHNETS.items()
    },
}


def make_backbone_folder(name: str, target: Path, *, missing: str | None = None) -> Path:
    """Write backbone.json of a shared network into `target`, and links to its files.

    Args:
        name: a key of `NETWORKS`.
        missing: a class whose output row is zeroed, as if the network had never learned it ("abdomen" only); this
            one network is written anew.
    """
    describe, model, files = NETWORKS[name]
    target.mkdir(parents=True, exist_ok=True)
    config = {"format": 1, "dimensions": 3, "activation": "softmax", **describe()}
    model = dict(model)
    for link, source in files.items():
        source = require_data() / source
        if missing is None and not _linked(target / link, source):
            model = {key: str(source) if value == link else value for key, value in model.items()}
    if missing is not None:
        _save_without(missing, require_data() / files["model.ts"], target / "model.ts")
    config["model"] = model
    (target / "backbone.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return target


def _linked(link: Path, source: Path) -> bool:
    """Make `link` point to `source`; False where the system allows no links."""
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(source)
    except OSError:
        return False
    return True


def _save_without(missing: str, source: Path, target: Path) -> None:
    import torch

    network = torch.jit.load(str(source))
    row = ABDOMEN_CLASSES.index(missing)
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        parameters["conv77U.weight"][row] = 0
        parameters["conv77U.bias"][row] = 0
    target.unlink(missing_ok=True)  # never write through a link
    network.save(str(target))


def main(argv: list[str] | None = None) -> int:
    """Write backbone folders and say how to check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=["all", *sorted(NETWORKS)])
    parser.add_argument("folder", type=Path, help="of the network; for all, the folder in which theirs are made")
    args = parser.parse_args(argv)
    names = sorted(NETWORKS) if args.network == "all" else [args.network]
    for name in names:
        folder = make_backbone_folder(name, args.folder / name if args.network == "all" else args.folder)
        print(f"Wrote {folder}. Check it with: interactive-refine check-backbone {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What a bundle's files say of its network, read without executing anything of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import BackboneError, InputError
from ...orientation import check_axis_codes
from ...segmentation import Segment
from ..config import BackboneConfig
from ..read_config import class_color
from .files import METADATA, checked_options, config_path, read_plain_file
from .plain import PlainConfig, short_name

#: Post-processing that changes more than how logits become labels: done for the first answer only.
_LIKELIEST = "classes may overlap; a voxel gets the likeliest. For classes inside each other give 'paint'"
_CLEANING = ("KeepLargest", "RemoveSmall", "FillHoles", "LabelFilter", "DistanceTransform")


@dataclass(frozen=True)
class Description:
    """A bundle as its files describe it.

    Attributes:
        config: of the network; windows are those of the file as far as they are plain numbers.
        raw: the configuration file.
        metadata: metadata.json.
        path: of the configuration file.
        overlapping: whether one voxel may belong to several output channels.
        notes: lines for check-backbone.
    """

    config: BackboneConfig
    raw: dict[str, Any]
    metadata: dict[str, Any]
    path: Path
    overlapping: bool
    notes: tuple[str, ...]

    def painted(self, order: tuple[int, ...]) -> Description:
        """The same with overlapping channels painted over each other, first to last."""
        config = replace(self.config, activation="regions", paint=order)
        names = {label: segment.name for label, segment in enumerate(config.classes, start=1)}
        shown = ", ".join(names.get(config.channel_labels[c], "background") for c in order)
        notes = tuple(note for note in self.notes if note != _LIKELIEST)
        return replace(self, config=config, notes=(*notes, f"overlapping classes, painted in this order: {shown}"))


def described(folder: Path, options: dict[str, Any]) -> Description:
    """Read a bundle's metadata.json and its configuration.

    Raises:
        BackboneError: a file is missing or wrong; the text names file and key.
    """
    checked_options(folder, options)
    path = config_path(folder, options)
    raw, metadata = read_plain_file(path), read_plain_file(folder / METADATA)
    plain = PlainConfig(raw)
    where = folder / METADATA
    image = _format(where, metadata, "inputs", "image")
    pred = _format(where, metadata, "outputs", "pred")
    channels = _channel_names(where, "inputs.image", image, "channel")
    outputs = _channel_names(where, "outputs.pred", pred, "class")
    post = plain.components("postprocessing")
    activation, threshold = _activation(plain, post, outputs)
    names = outputs if activation == "softmax" else ["background", *outputs]
    names = names[1:]
    ignored = activation != "softmax" and outputs[0].strip().lower() == "background" and len(outputs) > 1
    if ignored:
        names = names[1:]
    first = 0 if activation == "softmax" or ignored else 1
    classes = tuple(Segment(name, n, class_color(n)) for n, name in enumerate(_different(names), start=1))
    config = BackboneConfig(
        name=str(metadata.get("name") or metadata.get("task") or folder.name),
        dimensions=_dimensions(where, plain, pred),
        channels=tuple(channels),
        classes=classes,
        channel_labels=tuple(range(first, first + len(outputs))),
        axis_codes=_axis_codes(path, plain),
        tensor_axes="IJK",
        spacing=_spacing(plain),
        activation=activation,
        threshold=threshold,
        license=str(metadata.get("license") or ""),
    )
    overlapping = activation == "sigmoid" and len(outputs) > 1
    paint = _paint(folder, options, outputs, overlapping)
    config = replace(config, **_windows(plain, config.dimensions))
    found = Description(config, raw, metadata, path, overlapping, tuple(_notes(path, plain, post, overlapping)))
    return found.painted(paint) if paint else found


def _format(path: Path, metadata: dict[str, Any], side: str, name: str) -> dict[str, Any]:
    """network_data_format.inputs.image or .outputs.pred; where there is one entry of another name, that one."""
    found: Any = metadata.get("network_data_format")
    found = found.get(side) if isinstance(found, dict) else None
    if isinstance(found, dict) and name not in found and len(found) == 1:
        found = next(iter(found.values()))
    elif isinstance(found, dict):
        found = found.get(name)
    if not isinstance(found, dict):
        raise BackboneError(
            f"{path}: 'network_data_format.{side}.{name}' is missing; it must tell num_channels and channel_def."
        )
    return found


def _channel_names(path: Path, where: str, entry: dict[str, Any], what: str) -> list[str]:
    count, names = entry.get("num_channels"), entry.get("channel_def") or {}
    key = f"'network_data_format.{where}"
    if not isinstance(names, dict) or not all(str(k).isdigit() and isinstance(v, str) for k, v in names.items()):
        raise BackboneError(f'{path}: {key}.channel_def\' must be like {{"0": "background", "1": "liver"}}.')
    if count is None and names:
        count = 1 + max(int(k) for k in names)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 10_000:
        raise BackboneError(f"{path}: {key}.num_channels' must be the number of channels, not {count!r}.")
    by_number = {int(k): v.strip() for k, v in names.items()}
    return [by_number.get(n) or f"{what} {n}" for n in range(count)]


def _different(names: list[str]) -> list[str]:
    """Every name once: repeated ones are numbered."""
    out: list[str] = []
    for name in names:
        fresh, n = name, 2
        while fresh.lower() in (o.lower() for o in out):
            fresh, n = f"{name} {n}", n + 1
        out.append(fresh)
    return out


def _activation(plain: PlainConfig, post: list[dict[str, Any]], outputs: list[str]) -> tuple[str, float]:
    """How logits become labels: "softmax" when one channel wins at every voxel, else "sigmoid" with the threshold."""
    steps = [(short_name(step["_target_"]), step) for step in post]
    asked = [step for name, step in steps if name in ("Activationsd", "Activations", "ActivationsD")]
    discrete = [step for name, step in steps if name in ("AsDiscreted", "AsDiscrete", "AsDiscreteD")]

    def says(entries: list[dict[str, Any]], key: str) -> Any:
        found = [plain.value(entry.get(key)) for entry in entries]
        found = [f[0] if isinstance(f, list) and f else f for f in found]
        return next((f for f in found if f not in (None, False)), None)

    threshold = says(discrete, "threshold")
    threshold = float(threshold) if isinstance(threshold, (int, float)) and 0 < threshold < 1 else 0.5
    if len(outputs) == 1:
        return "sigmoid", threshold
    if says(discrete, "argmax") or says(asked, "softmax"):
        return "softmax", 0.5
    if says(asked, "sigmoid") or says(discrete, "threshold") is not None:
        return "sigmoid", threshold
    return ("softmax" if outputs[0].strip().lower() == "background" else "sigmoid"), 0.5


def _dimensions(path: Path, plain: PlainConfig, pred: dict[str, Any]) -> int:
    network = plain.first("network_def", "network")
    said = plain.value(network.get("spatial_dims")) if isinstance(network, dict) else None
    shape = pred.get("spatial_shape")
    found = said if isinstance(said, int) else len(shape) if isinstance(shape, list) else 3
    if found not in (2, 3):
        raise BackboneError(f"{path}: a network of {found} dimensions cannot be used; 2 or 3 are needed.")
    return found


def _axis_codes(path: Path, plain: PlainConfig) -> str:
    for step in plain.components("preprocessing"):
        codes = plain.value(step.get("axcodes")) if short_name(step["_target_"]).startswith("Orientation") else None
        if codes is not None:
            try:
                return check_axis_codes("".join(codes))
            except (InputError, TypeError) as error:
                raise BackboneError(f"{path}: 'axcodes' of Orientationd: {error}") from error
    return "RAS"


def _spacing(plain: PlainConfig) -> tuple[float, ...] | None:
    for step in plain.components("preprocessing"):
        if short_name(step["_target_"]).startswith("Spacing"):
            found = plain.numbers(step.get("pixdim"))
            if found and min(found) > 0:
                return tuple(float(v) for v in (*found, *[found[-1]] * 3)[:3])
    return None


def _windows(plain: PlainConfig, dimensions: int) -> dict[str, Any]:
    """Patch size and overlap, where they are plain numbers."""
    inferer = plain.first("inferer")
    if not isinstance(inferer, dict) or not short_name(inferer.get("_target_")).startswith(("Sliding", "Slice")):
        return {}
    size, overlap = plain.numbers(inferer.get("roi_size")), plain.numbers(inferer.get("overlap", 0.25))
    out: dict[str, Any] = {"overlap": float(overlap[0])} if overlap else {}
    if size and all(isinstance(n, int) for n in size):
        sizes = size * dimensions if len(size) == 1 else size
        out["patch_size"] = tuple(max(0, n) for n in (*sizes, 1)[:3])
    return out


def _paint(folder: Path, options: dict[str, Any], outputs: list[str], overlapping: bool) -> tuple[int, ...]:
    if "paint" not in options:
        return ()
    lower = [name.lower() for name in outputs]
    found = [str(name).strip().lower() for name in options["paint"]]
    if not overlapping or sorted(found) != sorted(lower):
        known = ", ".join(outputs) if overlapping else "none: the channels of this bundle do not overlap"
        raise BackboneError(
            f"{folder}: 'paint' must name every overlapping class once, first painted to last: {known}."
        )
    return tuple(lower.index(name) for name in found)


def _notes(path: Path, plain: PlainConfig, post: list[dict[str, Any]], overlapping: bool) -> list[str]:
    steps = plain.components("preprocessing")
    notes = [f"{path.name}: {' > '.join(short_name(s['_target_']) for s in steps)}"] if steps else []
    if not any(short_name(s["_target_"]).startswith("Orientation") for s in steps):
        notes.append("no orientation is asked for: the network sees the voxels in the order of the file")
    if overlapping:
        notes.append(_LIKELIEST)
    cleaning = [short_name(s["_target_"]) for s in post if short_name(s["_target_"]).startswith(_CLEANING)]
    if cleaning:
        notes.append(f"{', '.join(cleaning)}: applied to the first answer, not to what strokes change")
    return notes

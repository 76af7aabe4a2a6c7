"""The shared real scans: where they lie, and their truth."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from scipy import ndimage

from InteractiveRefineLib.image_io import read_volume
from InteractiveRefineLib.volume import Volume


def data_folder() -> Path | None:
    """The folder of real data, from INTERACTIVE_REFINE_DATA or beside the checkout; None where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("INTERACTIVE_REFINE_DATA", beside))
    return folder if (folder / "chaos_ct").is_dir() else None


def require_data() -> Path:
    """`data_folder`, or an explanation of what to set."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("No real data found. Set INTERACTIVE_REFINE_DATA to the folder that holds chaos_ct.")
    return folder


def chaos_ct() -> tuple[Volume, np.ndarray]:
    """The full-size abdominal CT and its true liver (K, J, I) bool."""
    folder = require_data() / "chaos_ct"
    image = read_volume(folder / "chaos_ct_set3_image.nii.gz")
    return image, read_volume(folder / "chaos_ct_set3_liver.nii.gz").array > 0


def shifted(image: Volume) -> Volume:
    """Intensities as no scanner should deliver them: HU x 0.72 - 70, noise SD 40 on the scan's own grid, seed 0."""
    noise = np.random.default_rng(0).normal(0, 40, image.array.shape)
    return Volume((image.array * np.float32(0.72) - 70 + noise).astype(np.float32), image.ijk_to_ras, "shifted CT")


def right_kidney_reference(image: Volume, liver: np.ndarray) -> np.ndarray:
    """Reference mask of the right kidney of `chaos_ct`, (K, J, I) bool.

    Made for this one scan and checked by eye slice by slice: the bright parenchyma (smoothed, 140 to 330 HU) in a
    box around the kidney, freed from veins by an opening, with the sinus closed in every axial slice. About 114 ml;
    it takes in a few milliliters of renal vein at the hilum.
    """
    smooth = ndimage.gaussian_filter(image.array.astype(np.float32), (0.6, 1.2, 1.2))
    box = (slice(0, 32), slice(235, 365), slice(70, 234))
    in_slice = ndimage.generate_binary_structure(3, 1)[1:2]
    veins = np.zeros(liver.shape, dtype=bool)
    veins[:, :282, 192:] = True
    spine = np.zeros(liver.shape, dtype=bool)
    spine[:, :300, 222:] = True
    mask = np.zeros(liver.shape, dtype=bool)
    mask[box] = (smooth[box] > 140) & (smooth[box] < 330) & ~ndimage.binary_dilation(liver[box])
    mask &= ~veins & ~spine
    mask = ndimage.binary_opening(mask, in_slice, iterations=3)
    parts, _ = ndimage.label(mask)
    mask = parts == parts[10, 330, 140]
    mask = ndimage.binary_dilation(mask, in_slice) & (smooth > 120) & ~liver & ~veins
    disk = np.hypot(*np.mgrid[-8:9, -8:9]) <= 8
    framed = np.pad(mask, ((0, 0), (12, 12), (12, 12)))
    closed = np.stack([ndimage.binary_fill_holes(ndimage.binary_closing(s, disk)) for s in framed])
    return closed[:, 12:-12, 12:-12] & ~liver


def hippocampus_cases() -> list[str]:
    """Test cases of split.json only: the networks never saw them."""
    split = json.loads((require_data() / "net_hippocampus" / "split.json").read_text(encoding="utf-8"))
    return list(split["test"])


def hippocampus(case: str) -> tuple[Volume, np.ndarray]:
    """One MR crop and its true labels (K, J, I): 1 anterior, 2 posterior."""
    folder = require_data() / "hippocampus_mr"
    labels = read_volume(folder / "labels" / f"{case}.nii.gz").array
    return read_volume(folder / "images" / f"{case}.nii.gz"), labels.astype(np.uint16)

"""A made-up abdominal CT with its true segmentation, for the demo, the tests and the embedded backbone.

It needs no patient data: the same seed gives the same patient on every machine.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .errors import InputError
from .geometry import Geometry
from .phantom_anatomy import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN, TUMOR, VESSELS, Layer, build_layers
from .phantom_space import Space
from .segmentation import Segment, Segmentation
from .volume import Volume

#: Voxels (K, J, I) and their size in mm: all organs fit, and each side is a multiple of eight.
PHANTOM_SHAPE = (56, 80, 104)
PHANTOM_SPACING_KJI = (4.0, 3.0, 3.0)
SHIFTS = (None, "domain")

#: The colors are those of Slicer's anatomy table, as far as it has the structure.
PHANTOM_SEGMENTS = (
    Segment("liver", LIVER, (0.87, 0.51, 0.40)),
    Segment("liver tumor", TUMOR, (0.56, 0.93, 0.56)),
    Segment("right kidney", RIGHT_KIDNEY, (0.73, 0.40, 0.17)),
    Segment("left kidney", LEFT_KIDNEY, (0.85, 0.63, 0.20)),
    Segment("spleen", SPLEEN, (0.61, 0.48, 0.70)),
    Segment("vessels", VESSELS, (0.85, 0.22, 0.20)),
)


def make_phantom(
    seed: int,
    shape_kji: tuple[int, int, int] = PHANTOM_SHAPE,
    spacing_kji: tuple[float, float, float] = PHANTOM_SPACING_KJI,
    shift: str | None = None,
) -> tuple[Volume, Segmentation]:
    """Make one abdomen-like CT scan and its true segmentation.

    Args:
        seed: of the patient: sizes, places and shapes of the organs, the intensities and the noise.
        shape_kji: voxels along K, J, I; the anatomy is centered and keeps its size in mm.
        spacing_kji: voxel size in mm along K, J, I.
        shift: None, or "domain" for a scan as from another scanner and protocol: less contrast medium, a wrong HU
            calibration, blur and strong noise. The anatomy and the true segmentation stay the same.

    Returns:
        The scan, (K, J, I) float32 in Hounsfield units with axis codes L, P, S (i toward Left, j toward Posterior,
        k toward Superior; RAS origin in the middle), and its segmentation, (K, J, I) uint16 labels 1 to 6.

    Raises:
        InputError: an unknown shift, or a shape or spacing that is not positive.
    """
    if shift not in SHIFTS:
        raise InputError(f'shift must be None or "domain", not {shift!r}.')
    shape = tuple(int(n) for n in shape_kji)
    if len(shape) != 3 or len(spacing_kji) != 3 or min(shape) < 1 or min(spacing_kji) <= 0:
        raise InputError(f"Shape {shape_kji} and spacing {spacing_kji} must be three positive numbers each (K, J, I).")
    geometry = Geometry(shape, _centered_lps(shape, spacing_kji))
    # One stream of random numbers each: the noise must not change the patient, nor the shift the scan's own noise.
    patient, scanner, other_scanner = (np.random.default_rng([int(seed), part]) for part in range(3))
    space = Space(patient, shape, spacing_kji)
    image, labels = _render(build_layers(space), shape, min(spacing_kji))
    if shift == "domain":
        image = _other_scanner(image, space, spacing_kji)
        image += _noise(other_scanner, shape, 24.0)
    else:
        image += _noise(scanner, shape, 13.0) + Space(scanner, shape, spacing_kji).waves(4.0, 220.0, count=3)
    name = f"phantom {seed}" + (" (shifted)" if shift else "")
    volume = Volume(np.clip(image, -1024, 3071).astype(np.float32), geometry.ijk_to_ras, name)
    return volume, Segmentation(labels, geometry, list(PHANTOM_SEGMENTS))


def _centered_lps(shape: tuple[int, int, int], spacing_kji: tuple[float, ...]) -> np.ndarray:
    """(4, 4) IJK-to-RAS matrix of a grid whose axes run toward Left, Posterior, Superior around RAS (0, 0, 0)."""
    steps = np.array(spacing_kji[::-1], dtype=np.float64) * [-1, -1, 1]
    matrix = np.diag([*steps, 1.0])
    matrix[:3, 3] = -steps * (np.array(shape[::-1]) - 1) / 2
    return matrix


def _render(layers: list[Layer], shape: tuple[int, int, int], voxel_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Mix the layers' intensities by their share of each voxel; the label goes to the layer with half a voxel."""
    image = np.full(shape, -1000.0, dtype=np.float32)
    labels = np.zeros(shape, dtype=np.uint16)
    for layer in layers:
        share = np.clip(layer.inside / np.float32(voxel_mm) + np.float32(0.5), 0, 1)
        image += share * (np.float32(layer.hu) - image)
        labels[share >= 0.5] = layer.label
    return image, labels


def _noise(rng: np.random.Generator, shape: tuple[int, int, int], sigma: float) -> np.ndarray:
    """Noise of standard deviation `sigma` (HU), correlated between neighbors as after reconstruction."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), 0.55)
    return noise * np.float32(sigma / max(float(noise.std()), 1e-6))


def _other_scanner(image: np.ndarray, space: Space, spacing_kji: tuple[float, ...]) -> np.ndarray:
    """Less contrast between soft tissues, a scaled and offset HU scale, blur and a slow shading.

    The strength is chosen so that the embedded network errs clearly and in every class, yet finds every organ.
    """
    blurred = ndimage.gaussian_filter(image, [1.5 / s for s in spacing_kji])
    return np.float32(0.76) * blurred + 2 + space.waves(4.0, 260.0, count=3)

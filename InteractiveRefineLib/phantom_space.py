"""The space the phantom's organs are made in: smooth random level sets in millimeters.

Coordinates are x toward Left, y toward Posterior, z toward Superior, in mm from the middle of the scan. A level set
is positive inside its structure and about the distance to its surface in mm, so that a voxel's share of the
structure (its partial volume) follows from the level set alone, at any resolution.
"""

from __future__ import annotations

import numpy as np

Point = tuple[float, float, float]


class Space:
    """Positions of the voxels with everything that is random about the anatomy.

    All random numbers are drawn in mm and never per voxel: one seed is one patient at every resolution.
    """

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int, int], spacing_kji: tuple[float, ...]) -> None:
        self.rng = rng
        z, y, x = (
            ((np.arange(n) - (n - 1) / 2) * s).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
            for axis, (n, s) in enumerate(zip(shape, spacing_kji))
        )
        self.shape = tuple(shape)
        self._plain = (x, y, z)
        # Bending space bends all organs together, so that they keep clear of each other.
        self.x, self.y, self.z = (axis + self.waves(amplitude=4.5, wavelength=170.0) for axis in (x, y, z))

    def waves(self, amplitude: float, wavelength: float, count: int = 5) -> np.ndarray:
        """A smooth random field (K, J, I) float32 of about this amplitude, from a few plane waves."""
        x, y, z = self._plain
        total = np.zeros(self.shape, dtype=np.float32)
        for _ in range(count):
            direction = self.rng.normal(size=3)
            k = 2 * np.pi / (wavelength * self.rng.uniform(0.7, 1.4)) * direction / np.linalg.norm(direction)
            phase = self.rng.uniform(0, 2 * np.pi)
            total += np.sin(np.float32(k[0]) * x + np.float32(k[1]) * y + (np.float32(k[2]) * z + np.float32(phase)))
        return total * np.float32(amplitude / np.sqrt(count / 2))

    def near(self, value: float, spread: float) -> float:
        """A random number within `spread` of `value`."""
        return float(value + spread * self.rng.uniform(-1, 1))

    def ellipsoid(self, center: Point, radii: Point, tilt: Point = (0.0, 0.0, 0.0), bumps: float = 0.0) -> np.ndarray:
        """Level set of an ellipsoid; `tilt` turns it about x, y, z (radians), `bumps` roughens it by some mm."""
        turned = _rotation(tilt)
        offset = (self.x - np.float32(center[0]), self.y - np.float32(center[1]), self.z - np.float32(center[2]))
        unit, slope = np.zeros(self.shape, dtype=np.float32), np.zeros(self.shape, dtype=np.float32)
        for row, radius in zip(turned, radii):
            along = sum(np.float32(w / radius) * o for w, o in zip(row, offset))
            unit += along * along
            slope += (along / np.float32(radius)) ** 2
        unit, slope = np.sqrt(unit), np.sqrt(slope) + np.float32(1e-6)
        # Right to first order at the surface; near the center, where that formula fails, any deep value will do.
        inside = np.where(unit < 0.3, np.float32(min(radii)) * (1 - unit), unit * (1 - unit) / slope)
        return inside + self.waves(bumps, 55.0) if bumps else inside

    def tube(self, points: list[Point], radii: list[float]) -> np.ndarray:
        """Level set of a tube through `points` whose radius goes along `radii` (mm)."""
        best = np.full(self.shape, -1e3, dtype=np.float32)
        for a, b, ra, rb in zip(points, points[1:], radii, radii[1:]):
            line = np.subtract(b, a)
            offset = (self.x - np.float32(a[0]), self.y - np.float32(a[1]), self.z - np.float32(a[2]))
            t = np.clip(sum(np.float32(w) * o for w, o in zip(line / (line @ line), offset)), 0, 1)
            squared = sum((o - np.float32(w) * t) ** 2 for w, o in zip(line, offset))
            np.maximum(best, np.float32(ra) + np.float32(rb - ra) * t - np.sqrt(squared), out=best)
        return best


def blend(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Union of two level sets whose seam is rounded over `width` mm."""
    h = np.clip(0.5 + 0.5 * (a - b) / np.float32(width), 0, 1)
    return b + (a - b) * h + np.float32(width) * h * (1 - h)


def _rotation(tilt: Point) -> np.ndarray:
    """(3, 3) rotation by the angles `tilt` (radians) about x, y and z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(tilt):
        c, s = np.cos(angle), np.sin(angle)
        a, b = [n for n in range(3) if n != axis]
        step = np.eye(3)
        step[a, a], step[a, b], step[b, a], step[b, b] = c, -s, s, c
        matrix = step @ matrix
    return matrix

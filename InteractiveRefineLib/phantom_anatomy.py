"""The made-up abdomen of the phantom: which organs there are, where, how large and how bright.

Lengths are in mm and coordinates those of `phantom_space`: x toward Left, y toward Posterior, z toward Superior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .phantom_space import Point, Space, blend

LIVER, TUMOR, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN, VESSELS = range(1, 7)


@dataclass(frozen=True, eq=False)
class Layer:
    """One structure of the scene; it covers the layers before it.

    Attributes:
        inside: level set in mm (K, J, I) float32.
        hu: its mean intensity in Hounsfield units.
        label: its value in the label map, 0 for a structure that is background.
    """

    inside: np.ndarray
    hu: float
    label: int = 0


def build_layers(space: Space) -> list[Layer]:
    """The whole abdomen, from the outside in: later layers cover earlier ones."""
    near = space.near
    body, wall, cavity = _trunk(space)
    layers = [Layer(body, -100), Layer(wall, near(55, 5)), Layer(cavity, -98)]
    layers += _background_organs(space, cavity)
    lung = _lung(space, cavity)
    layers.append(Layer(lung, near(-820, 40)))

    right = _kidney(space, side=-1)
    left = _kidney(space, side=+1)
    # Organs stay clear of the wall, of the lung and of the kidneys by a thin layer of fat.
    room = np.minimum(cavity - 2, -lung - 3)
    keep_out = np.maximum(right.inside, left.inside) + 2
    liver = np.minimum(_liver(space), np.minimum(room, -keep_out))
    spleen = np.minimum(_spleen(space), np.minimum(room, -np.maximum(keep_out, liver + 3)))

    layers += [Layer(liver, near(110, 6), LIVER), Layer(spleen, near(126, 6), SPLEEN)]
    layers.append(Layer(np.minimum(space.ellipsoid(_around(space, (-38, -42, -12), 6), (13, 13, 24)), room), 12))
    layers += [Layer(right.inside, near(172, 8), RIGHT_KIDNEY), Layer(right.medulla, near(140, 8), RIGHT_KIDNEY)]
    layers += [Layer(left.inside, near(172, 8), LEFT_KIDNEY), Layer(left.medulla, near(140, 8), LEFT_KIDNEY)]
    layers += _vessels(space, liver)
    layers += _tumors(space, liver)
    return layers + _bones(space, wall, cavity)


@dataclass(frozen=True, eq=False)
class _Kidney:
    """Level sets in mm of a kidney and of the darker medulla inside it."""

    inside: np.ndarray
    medulla: np.ndarray


def _trunk(space: Space) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level sets of the body, of what lies inside its fat ring and of the cavity inside the muscles."""
    width, depth, fat, muscle = space.near(142, 8), space.near(100, 6), space.near(17, 7), space.near(11, 2)
    x, y = space.x, space.y
    power = 2.3
    unit = ((np.abs(x / width) ** power + np.abs(y / depth) ** power) ** (1 / power)).astype(np.float32) + 1e-3
    radius = np.sqrt(x * x + y * y) + 1e-3
    body = radius / unit - radius
    # The fat is thicker at the belly and the flanks than at the back.
    wall = body - fat * (1.1 - 0.5 * y / (np.abs(y) + 60)) + space.waves(2.0, 80.0)
    cavity = wall - muscle - 4 * (y > 0) * y / depth
    return body, wall.astype(np.float32), cavity.astype(np.float32)


def _lung(space: Space, cavity: np.ndarray) -> np.ndarray:
    """Air above two domes of the diaphragm; the right dome stands higher."""
    top_right, top_left = space.near(88, 8), space.near(80, 8)
    x, y = space.x, space.y
    right = top_right - 38 * ((x + 65) / 75) ** 2 - 45 * ((y + 5) / 85) ** 2
    left = top_left - 38 * ((x - 70) / 65) ** 2 - 45 * ((y + 5) / 85) ** 2
    above = (space.z - np.maximum(np.maximum(right, left), 30.0)) * 0.7
    middle = 34 - np.sqrt(x * x + (y / 1.6) ** 2)
    return np.minimum(np.minimum(above, cavity - 4), -middle).astype(np.float32)


def _liver(space: Space) -> np.ndarray:
    near = space.near
    right = space.ellipsoid(
        (near(-66, 6), near(-4, 6), near(22, 8)),
        (near(66, 7), near(72, 7), near(72, 10)),
        (0, near(0.15, 0.15), 0),
        3.0,
    )
    left = space.ellipsoid(
        (near(0, 12), near(-46, 6), near(38, 8)),
        (near(58, 14), near(30, 5), near(34, 6)),
        (0, near(-0.2, 0.2), 0),
        bumps=2.0,
    )
    fissure = space.ellipsoid((near(-14, 5), near(-78, 4), near(0, 10)), (7, 32, 34))
    porta = space.ellipsoid((near(-28, 4), near(22, 4), near(-6, 6)), (24, 26, 34))
    return np.minimum(blend(right, left, 8.0), -np.maximum(fissure, porta))


def _spleen(space: Space) -> np.ndarray:
    near = space.near
    center = (near(84, 5), near(24, 7), near(37, 9))
    whole = space.ellipsoid(center, (near(28, 4), near(42, 6), near(46, 7)), (near(0.3, 0.2), 0, near(0.3, 0.2)), 2.0)
    # The hollow of the stomach makes it a crescent.
    hollow = space.ellipsoid((center[0] - 38, center[1] - 10, center[2] - 2), (27, 34, 44))
    return np.minimum(whole, -hollow)


def _kidney(space: Space, side: int) -> _Kidney:
    near = space.near
    center = (side * near(62, 5), near(40, 5), near(-28 if side < 0 else -14, 9))
    tilt = (near(0.15, 0.12), side * near(0.2, 0.12), 0.0)
    radii = (near(26, 3), near(25, 3), near(51, 6))
    whole = space.ellipsoid(center, radii, tilt, bumps=1.5)
    sinus = space.ellipsoid((center[0] - side * 20, center[1] - 4, center[2]), (17, 10, 24), tilt)
    inside = np.minimum(whole, -sinus)
    pyramids = inside - 8 + space.waves(3.0, 28.0)
    return _Kidney(inside, np.minimum(pyramids, 10 - np.abs(sinus + 10)).astype(np.float32))


def _vessels(space: Space, liver: np.ndarray) -> list[Layer]:
    """Aorta, inferior vena cava and the portal vein with its branches inside the liver."""
    near = space.near
    aorta = space.tube(
        [(near(6, 3), near(26, 3), -150), (near(9, 3), near(26, 3), 0), (near(10, 3), near(33, 3), 150)],
        [near(9, 1), near(10, 1), near(11, 1)],
    )
    cava = space.tube(
        [(near(-19, 3), near(29, 3), -150), (near(-20, 3), near(22, 3), 0), (near(-18, 3), near(8, 3), 95)],
        [near(10, 1), near(11, 1), near(11, 1)],
    )
    trunk, hilum = _around(space, (4, 4, -20), 4), _around(space, (-30, -6, 14), 4)
    branches = [space.tube([trunk, hilum], [6.5, 7.0])]
    right, left = _around(space, (-62, 2, 24), 5), _around(space, (-18, -36, 32), 5)
    branches.append(space.tube([hilum, right], [6.5, 5.0]))
    branches.append(space.tube([hilum, left], [5.5, 4.5]))
    for tip in ((-98, -18, 38), (-88, 38, 28), (-70, 10, 62)):
        branches.append(space.tube([right, _around(space, tip, 8)], [4.8, 3.0]))
    branches.append(space.tube([left, _around(space, (22, -46, 40), 6)], [4.2, 3.0]))
    portal = np.minimum(np.maximum.reduce(branches), np.maximum(liver - 5, 8 - _distance(space, trunk, hilum)))
    blood = near(162, 8)
    return [Layer(np.maximum(aorta, portal), blood, VESSELS), Layer(cava, blood - 14, VESSELS)]


def _distance(space: Space, a: Point, b: Point) -> np.ndarray:
    """Distance in mm to the line from `a` to `b`."""
    return -space.tube([a, b], [0.0, 0.0])


def _tumors(space: Space, liver: np.ndarray) -> list[Layer]:
    """One or two round lesions well inside the liver."""
    near = space.near
    # Both lesions are always drawn, so that their number changes nothing else about the patient.
    places = [(near(-72, 12), near(-30, 9), near(18, 14)), (near(-75, 11), near(16, 9), near(38, 11))]
    shapes = [tuple(near(r, 4) for r in (15, 15, 16)) for _ in places]
    count = int(space.rng.integers(1, 3))
    first = int(space.rng.integers(0, 2))
    hu = near(58, 6)
    chosen = [(places[first], shapes[first]), (places[1 - first], shapes[1 - first])][:count]
    return [Layer(np.minimum(space.ellipsoid(p, r, bumps=2.0), liver - 3), hu, TUMOR) for p, r in chosen]


def _background_organs(space: Space, cavity: np.ndarray) -> list[Layer]:
    """Bowel, stomach with a gas pocket, psoas and back muscles: background, but not empty."""
    near = space.near
    tangle = 5 * (1 - np.abs(space.waves(1.0, 70.0))) + 2
    below = np.minimum(-space.z - near(10, 10), -space.y - near(-18, 8)) * 0.5
    bowel = np.minimum(np.minimum(tangle, below), cavity - 3)
    gas = np.minimum(bowel - 3, space.waves(6.0, 60.0) - 5)
    stomach = space.ellipsoid(
        (near(48, 8), near(-34, 6), near(32, 8)), (near(36, 6), near(30, 5), near(34, 6)), bumps=3
    )
    stomach = np.minimum(stomach, cavity - 3)
    # Gas rises to the front of a patient lying on the back: it has a level surface.
    bubble = np.minimum(stomach - 4, near(-46, 5) - space.y)
    psoas = np.maximum(*(space.tube([(s * 28, 44, 10), (s * 42, 34, -150)], [10, 22]) for s in (-1, 1)))
    back = np.maximum(*(space.ellipsoid((s * 36, 74, 0), (30, 17, 400)) for s in (-1, 1)))
    pancreas = space.tube([(-22, -8, -14), (14, -4, -2), (52, 14, 14)], [12, 8, 7]) + space.waves(1.5, 30.0)
    muscle = near(58, 4)
    return [
        Layer(bowel, near(38, 8)),
        Layer(gas, -850),
        Layer(pancreas, near(84, 6)),
        Layer(stomach, near(28, 8)),
        Layer(bubble, -900),
        Layer(psoas, muscle),
        Layer(np.minimum(back, cavity + 14), muscle),
    ]


def _bones(space: Space, wall: np.ndarray, cavity: np.ndarray) -> list[Layer]:
    """Vertebrae with disks between them, and ribs in the upper half."""
    near = space.near
    column = space.tube([(0, 56, -200), (0, 52, 0), (0, 56, 200)], [21, 20, 19])
    process = space.ellipsoid((0, 86, 0), (5, 20, 400))
    canal = space.ellipsoid((0, 79, 0), (9, 8, 400))
    height = (space.z + near(0, 17)) / 34
    disk = 4 - 34 * np.abs(height - np.round(height))
    ring = np.minimum(np.abs(wall - 6) * -1 + 4, cavity + 12)
    slanted = (space.z + 0.55 * space.y + near(0, 14)) / 28
    ribs = np.minimum(ring, 5 - 28 * np.abs(slanted - np.round(slanted)))
    ribs = np.minimum(ribs, np.minimum(space.z + 25 - 0.5 * space.y, np.abs(space.x) - 25))
    return [
        Layer(column, near(330, 30)),
        Layer(column - 3, near(190, 20)),
        Layer(np.minimum(disk, column), 90),
        Layer(process, 300),
        Layer(canal, 35),
        Layer(ribs.astype(np.float32), near(300, 30)),
    ]


def _around(space: Space, center: Point, spread: float) -> Point:
    """A random point within `spread` mm of `center` along each axis."""
    return tuple(space.near(c, spread) for c in center)

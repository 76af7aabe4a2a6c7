"""However the voxel axes lie, the physical result is the same."""

from itertools import permutations, product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone import load_backbone  # noqa: E402
from InteractiveRefineLib.backbone.config import IntensityRule  # noqa: E402
from InteractiveRefineLib.constraints import Constraints  # noqa: E402
from InteractiveRefineLib.geometry import Geometry  # noqa: E402
from InteractiveRefineLib.metrics import dice_per_class  # noqa: E402
from InteractiveRefineLib.phantom import make_phantom  # noqa: E402
from InteractiveRefineLib.resample import resample_labels, resample_volume  # noqa: E402
from InteractiveRefineLib.resources import embedded_backbone  # noqa: E402
from InteractiveRefineLib.robot import robot_strokes  # noqa: E402
from InteractiveRefineLib.segmentation import BACKGROUND_STROKE, Segmentation  # noqa: E402
from InteractiveRefineLib.session import RefineSession  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.cli_examples import LIVER, LPS, SHAPE, SPLEEN, scan, truth  # noqa: E402
from Testing.tests.grid_examples import rotation  # noqa: E402
from Testing.tests.network_examples import UNet3d, randomized  # noqa: E402
from Testing.tests.session_examples import EMPTY, IN_LIVER, IN_SPLEEN, MISSED, a_backbone, a_session  # noqa: E402

#: All ways to order and flip three array axes, the unchanged one first.
LAYOUTS = [(p, f) for p in permutations(range(3)) for f in product((False, True), repeat=3)]


def laid(array, layout):
    """`array` with its axes permuted, then flipped."""
    permutation, flipped = layout
    return np.ascontiguousarray(array.transpose(permutation)[tuple(slice(None, None, -1 if f else 1) for f in flipped)])


def back(array, layout):
    """The inverse of `laid`."""
    permutation, flipped = layout
    return array[tuple(slice(None, None, -1 if f else 1) for f in flipped)].transpose(np.argsort(permutation))


def laid_matrix(ijk_to_ras, shape, layout):
    """The IJK-to-RAS matrix of the laid array: every voxel stays where it is in the patient."""
    columns, origin = ijk_to_ras[:3, :3][:, ::-1], ijk_to_ras[:3, 3].copy()  # columns in KJI order
    steps = []
    for old, flip in zip(*layout):
        step = columns[:, old]
        if flip:
            origin = origin + (shape[old] - 1) * step
            step = -step
        steps.append(step)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack(steps[::-1], axis=1), origin
    return matrix


def turned(ijk_to_ras, turn):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn @ ijk_to_ras[:3, :3], turn @ ijk_to_ras[:3, 3]
    return matrix


def about(axis, degrees):
    """Rotation matrix by an angle about any axis."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def stroke_maps():
    """Ordinary strokes and "not this class" strokes of one round, (K, J, I)."""
    wanted, refused = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint16)
    for voxels, label in ((MISSED, 1), (EMPTY, BACKGROUND_STROKE), (IN_SPLEEN, 3), (IN_LIVER + [2, 1, 1], 2)):
        wanted[tuple(voxels.T)] = label
    refused[tuple((IN_LIVER + [-2, 3, 0]).T)] = 1
    refused[2, 2:5, 3] = 2
    return wanted, refused


@pytest.fixture(scope="module")
def lopsided():
    """A network that tells directions apart, sees the image through z-scores, and does not see it voxel by voxel."""
    network = randomized(UNet3d(), seed=3)
    with torch.no_grad():
        network.head.weight.mul_(0.3)
    return {
        grid: a_backbone(
            network, intensity=IntensityRule("percentile-zscore", 0.5, 99.5), spacing=spacing, divisible_by=2
        )
        for grid, spacing in (("native", None), ("resampled", (2.6, 2.6, 4.0)))
    }


def two_rounds(image, backbone, layout=LAYOUTS[0], current=None, **settings):
    """Predict and refine twice in a layout; everything is returned in the original one."""
    session = a_session(image, backbone, current=current, new_classes=["kidney"], **settings)
    predicted = session.predict()
    constraints = Constraints(image.geometry, locked=())
    wanted, refused = (laid(m, layout) for m in stroke_maps())
    constraints.add_strokes(wanted)
    first = session.refine(constraints)
    constraints.next_round()
    constraints.add_strokes(refused, forbidden=True)
    second = session.refine(constraints)
    return [back(field, layout) for field in (predicted, first.labels, second.labels, second.grown)], second


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("grid", ["native", "resampled"])
def test_all_48_flips_and_permutations_give_the_same_bytes(lopsided, grid):
    image = scan()
    expected, _ = two_rounds(image, lopsided[grid])
    assert len({m.tobytes() for m in expected[:3]}) == 3  # each round changes something
    for layout in LAYOUTS[1:]:
        moved = Volume(laid(image.array, layout), laid_matrix(LPS, SHAPE, layout), image.name)
        found, result = two_rounds(moved, lopsided[grid], layout)
        for a, b in zip(expected, found):
            assert a.tobytes() == b.tobytes(), layout
        changed = result.labels != result.previous
        assert changed[result.changed_box].any()
        assert np.count_nonzero(changed) == np.count_nonzero(changed[result.changed_box])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("update", ["cross-entropy", "paper"])
def test_the_other_update_rules_too(lopsided, update):
    expected, _ = two_rounds(scan(), lopsided["native"], update=update)
    for layout in LAYOUTS[5::9]:
        moved = Volume(laid(scan().array, layout), laid_matrix(LPS, SHAPE, layout), "scan")
        found, _ = two_rounds(moved, lopsided["native"], layout, update=update)
        assert [m.tobytes() for m in found] == [m.tobytes() for m in expected], layout


@pytest.mark.usefixtures("one_thread")
def test_a_current_segmentation_turns_with_the_image(lopsided):
    layout = LAYOUTS[29]
    results = []
    for lay in (LAYOUTS[0], layout):
        image = Volume(laid(scan().array, lay), laid_matrix(LPS, SHAPE, lay), "scan")
        current = Segmentation(laid(truth(), lay), image.geometry, [LIVER, SPLEEN])
        results.append(two_rounds(image, lopsided["native"], lay, current)[0])
    assert [m.tobytes() for m in results[0]] == [m.tobytes() for m in results[1]]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("spacing", [(2.0, 2.0, 3.0), (1.0, 1.0, 1.5), (0.75, 0.75, 1.0)])
@pytest.mark.parametrize(
    "turn",
    [
        about((0, 0, 1), 10),
        about((1, 0, 0), -40),
        about((1, 2, -1), 25),
        about((1, 1, 1), 40),
        about((-1, 1, 0.3), 33),
        rotation(0.2, -0.3, 0.25),
    ],
)
def test_an_oblique_header_changes_nothing(lopsided, spacing, turn):
    straight = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    expected, _ = two_rounds(Volume(scan().array, straight, "scan"), lopsided["native"])
    found, _ = two_rounds(Volume(scan().array, turned(straight, turn), "scan"), lopsided["native"])
    for a, b in zip(expected, found):
        for label, score in dice_per_class(a, b, [1, 2, 3]).items():
            assert score >= 0.995 or not (a == label).any() and not (b == label).any(), label
    # Only rounding errors of the spacing differ; they must not reach a single voxel.
    assert [np.count_nonzero(a != b) for a, b in zip(expected, found)] == [0, 0, 0, 0]


@pytest.fixture(scope="module")
def phantom_case():
    """A phantom of a strange scanner, its truth, the embedded network, strokes for all classes and the result."""
    image, true = make_phantom(1000, shift="domain")
    backbone = load_backbone(embedded_backbone())
    session = RefineSession(image, backbone, RefineSettings(device="cpu"))
    predicted = session.predict()
    strokes = robot_strokes(true.labels, predicted, classes=[0, 1, 3, 5])
    constraints = Constraints(image.geometry)
    constraints.add_strokes(strokes)
    return image, true, backbone, strokes, predicted, session.refine(constraints).labels


def refined(image, backbone, strokes):
    session = RefineSession(image, backbone, RefineSettings(device="cpu"))
    predicted = session.predict()
    constraints = Constraints(image.geometry)
    constraints.add_strokes(strokes)
    result = session.refine(constraints)
    assert result.violated_strokes == 0
    return predicted, result.labels


@pytest.mark.parametrize("layout", [LAYOUTS[7], LAYOUTS[21], LAYOUTS[42]])
def test_the_phantom_gives_the_same_bytes_in_other_layouts(phantom_case, layout):
    image, _, backbone, strokes, predicted, expected = phantom_case
    moved = Volume(laid(image.array, layout), laid_matrix(image.ijk_to_ras, image.array.shape, layout))
    found = refined(moved, backbone, laid(strokes, layout))
    assert np.count_nonzero(expected != predicted) > 1000
    assert back(found[0], layout).tobytes() == predicted.tobytes()
    assert back(found[1], layout).tobytes() == expected.tobytes()


def test_the_phantom_with_an_oblique_header(phantom_case):
    image, _, backbone, strokes, predicted, expected = phantom_case
    found = refined(Volume(image.array, turned(image.ijk_to_ras, about((1, -2, 1), 35))), backbone, strokes)
    assert np.count_nonzero(found[0] != predicted) == 0
    assert min(dice_per_class(found[1], expected, [1, 3, 4, 5, 6]).values()) >= 0.995


def on_turned_grid(case, turn):
    """Refine the phantom resampled to turned axes; labels before and after at the voxels of the straight grid."""
    image, _, backbone, strokes, _, _ = case
    shape = tuple(int(8 * np.ceil(1.2 * n / 8)) for n in image.geometry.shape)  # corners stay inside
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ image.ijk_to_ras[:3, :3]
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)  # both grids are centered on RAS 0
    grid = Geometry(shape, matrix)
    resampled = resample_volume(image, grid, fill=-1000.0)
    drawn = np.zeros(shape, np.uint16)
    kji = np.argwhere(strokes)
    at = np.round(grid.to_kji(image.geometry.to_ras(kji))).astype(int)
    drawn[tuple(at.T)] = strokes[tuple(kji.T)]
    labels = refined(resampled, backbone, drawn)
    return [resample_labels(m, grid, image.geometry) for m in labels]


@pytest.mark.parametrize("degrees, least", [(5, 0.7), (10, 0.6)])
def test_the_phantom_resampled_to_oblique_axes(phantom_case, degrees, least):
    """Here the network sees another image, blurred by interpolation and turned: its own answer differs as well."""
    _, true, _, _, predicted, expected = phantom_case
    classes = [1, 3, 4, 5, 6]
    before, after = on_turned_grid(phantom_case, about((1, 1, 2), degrees))
    for name, a, b in (
        ("network, turned and straight", before, predicted),
        ("refined, turned and straight", after, expected),
        ("network straight, truth", predicted, true.labels),
        ("refined straight, truth", expected, true.labels),
        ("network turned, truth", before, true.labels),
        ("refined turned, truth", after, true.labels),
    ):
        scores = dice_per_class(a, b, classes)
        print(f"{degrees} degrees, {name}: " + " ".join(f"{label}={score:.4f}" for label, score in scores.items()))
    scores = dice_per_class(after, expected, classes)
    assert np.mean(list(scores.values())) > least

"""A 2-D network on a volume: it runs slice by slice along the declared axis, and all else stays 3-D."""

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.cli.main import main  # noqa: E402
from InteractiveRefineLib.constraints import Constraints  # noqa: E402
from InteractiveRefineLib.decoding.edges import FeatureEdges  # noqa: E402
from InteractiveRefineLib.image_io import read_volume  # noqa: E402
from InteractiveRefineLib.partial.prepare import prepare  # noqa: E402
from InteractiveRefineLib.resample import reorient  # noqa: E402
from InteractiveRefineLib.session import RefineSession  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests import session_examples  # noqa: E402
from Testing.tests.cli_examples import LPS, scan, truth  # noqa: E402
from Testing.tests.network_examples import UNet2d, a_backbone, moved, noise, randomized, with_weights, write_folder  # noqa: E402
from Testing.train_small_nets import SmallUNet  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True"),
]

SHAPE = (5, 8, 10)


class Tilt(nn.Module):
    """Logits that tell rows and columns apart, and which way each of them runs."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.arange(18.0).reshape(2, 1, 3, 3) ** 1.5 / 10)

    def forward(self, x):
        return self.head(x)


def prepared(network, image, layers=1, **changes):
    shape = tuple(image.shape[1:])
    grid = NetworkGrid(shape, tuple(slice(0, n) for n in shape), shape)
    with torch.no_grad():
        return prepare(a_backbone(network, 2, dimensions=2, **changes), grid, image, layers)


def over_slices(run, image, axis):
    """What `run` says of every slice (1, C, H, W) across an axis of (C, *shape), put together again."""
    return torch.stack([run(image.select(axis + 1, n)[None])[0] for n in range(image.shape[axis + 1])], axis + 1)


# ---- Which slices the network sees ----


@pytest.mark.parametrize("axes", ["KJI", "IJK"])
def test_every_slice_is_answered_as_if_it_were_alone(axes):
    network, image, across = randomized(UNet2d()), noise(1, *SHAPE), axes.index("K")
    result = prepared(network, image, tensor_axes=axes)
    assert torch.allclose(result.logits, over_slices(network, image, across), atol=1e-6)


@pytest.mark.parametrize(
    ("codes", "across", "rows_columns"),
    [
        ("LPS", 0, lambda plane: plane),  # axial: rows run to P, columns to L
        ("LSA", 1, lambda plane: plane),  # coronal: rows run to S, columns to L
        ("LIA", 1, lambda plane: plane[::-1]),  # coronal, rows run down
        ("ASR", 2, lambda plane: plane[:, ::-1]),  # sagittal: rows run to S, columns to A
        ("SAR", 2, lambda plane: plane[:, ::-1].T),
    ],
)
def test_the_third_axis_code_says_along_which_direction_slices_lie(codes, across, rows_columns):
    array = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)  # K to S, J to P, I to L
    session = RefineSession(Volume(array, LPS), a_backbone(Tilt(), 2, dimensions=2, axis_codes=codes))
    expected = np.zeros(SHAPE, bool)
    for n in range(SHAPE[across]):
        plane = rows_columns(np.moveaxis(array, across, 0)[n])
        with torch.no_grad():
            two, one = Tilt()(torch.from_numpy(plane.copy())[None, None])[0].flip(0).numpy()
        # Turned back by turning the row numbers along.
        rows_columns(np.moveaxis(expected, across, 0)[n])[...] = two > one
    np.testing.assert_array_equal(session.predict() == 1, expected)
    assert 0 < expected.sum() < expected.size


def test_the_distance_between_slices_does_not_matter_to_the_network_but_pixel_size_does():
    # Noise, so that any interpolation between slices would show.
    noisy = np.random.default_rng(0).uniform(0, 300, (16, 24, 32)).astype(np.float32)
    image = Volume(noisy, np.diag([-2.0, -2.0, 3.0, 1.0]), "slices 3 mm apart")
    farther = Volume(noisy, np.diag([-2.0, -2.0, 4.0, 1.0]), "slices 4 mm apart")
    as_it_is, coarser = organs_network(spacing=(2.0, 2.0, 1.0)), organs_network(spacing=(4.0, 2.0, 1.0))
    labels = RefineSession(image, as_it_is).predict()
    np.testing.assert_array_equal(RefineSession(farther, as_it_is).predict(), labels)
    assert (RefineSession(image, coarser).predict() != labels).any()


def organs_network(**changes):
    """The two organs of `session_examples`, seen slice by slice."""
    return session_examples.a_backbone(session_examples.hesitant(dimensions=2), dimensions=2, **changes)


# ---- Windows and tuning ----


@pytest.mark.parametrize("across", [0, 2])
def test_windows_lie_within_the_slices(across):
    network, image = randomized(UNet2d()), noise(1, *SHAPE)
    changes = {"patch_size": (6, 4, 1), "overlap": 0.5, "tensor_axes": "KJI" if across == 0 else "IJK"}
    result = prepared(network, image, **changes)
    for n in range(SHAPE[across]):
        alone = prepared(network, image.narrow(across + 1, n, 1), **changes)
        assert torch.allclose(result.logits.narrow(across + 1, n, 1), alone.logits, atol=1e-6)


@pytest.mark.parametrize("across", [0, 2])
@pytest.mark.parametrize("layers", [1, 2])
def test_tuned_weights_give_what_the_whole_network_gives_with_them(layers, across):
    network, image = randomized(UNet2d()), noise(1, *SHAPE)
    part = prepared(network, image, layers, tensor_axes="KJI" if across == 0 else "IJK").part
    values = moved(part.initial)
    tuned = [network.head.weight, network.head.bias]
    if layers == 2:
        # Slices larger than ten pixels along their width would run one layer more; these do not.
        tuned = [network.deep.weight, network.deep.bias, *tuned]
    expected, _ = with_weights(lambda: over_slices(network, image, across)[None], tuned, values)
    assert torch.allclose(part.everywhere(values), expected[0], rtol=1e-4, atol=1e-4)
    voxels = np.argwhere(np.ones(SHAPE))[::7]
    at_voxels = part.at(voxels)(values)
    assert torch.allclose(at_voxels, expected[0][(slice(None), *voxels.T)].T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("across", [0, 2])
def test_a_last_layer_with_a_wide_kernel_stays_within_its_slice(across):
    network, image = Tilt(), noise(1, *SHAPE)
    part = prepared(network, image, tensor_axes="KJI" if across == 0 else "IJK").part
    values = moved(part.initial)
    kernel = [values[0].squeeze(across + 2)]
    expected, _ = with_weights(lambda: over_slices(network, image, across)[None], [network.head.weight], kernel)
    assert torch.allclose(part.everywhere(values), expected[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layers", [1, 2])
def test_between_two_slices_logits_are_interpolated(layers):
    part = prepared(randomized(UNet2d()), noise(1, *SHAPE), layers).part
    between = part.at(np.array([[1.25, 3.0, 4.0]]))(part.initial)
    below, above = part.at(np.array([[1.0, 3, 4], [2.0, 3, 4]]))(part.initial)
    assert torch.allclose(between[0], 0.75 * below + 0.25 * above, atol=1e-5)


def test_gradients_of_strokes_in_several_slices_are_those_of_the_whole_network():
    network, image = randomized(UNet2d()), noise(1, *SHAPE)
    part = prepared(network, image, 2).part
    voxels = np.argwhere(np.ones(SHAPE))
    values = [v.requires_grad_(True) for v in moved(part.initial)]
    found = torch.autograd.grad((part.at(voxels)(values) ** 2).mean(), values)
    tuned = [network.deep.weight, network.deep.bias, network.head.weight, network.head.bias]
    _, expected = with_weights(
        lambda: over_slices(network, image, 0)[None], tuned, [v.detach() for v in values]
    )  # fmt: skip
    for one, other in zip(found, expected):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


# ---- Decoding is 3-D ----


def test_features_are_stacked_and_edges_know_how_neighboring_slices_differ():
    network, image = randomized(UNet2d()), noise(1, *SHAPE)
    image[:, 3] = image[:, 2]  # two equal slices
    features = prepared(network, image).features
    assert features.shape == (4, *SHAPE)
    assert torch.equal(features[:, 2], features[:, 3]) and not torch.equal(features[:, 1], features[:, 2])
    logits = over_slices(network.head, features, 0)
    assert torch.allclose(logits, prepared(network, image).logits, atol=1e-6)
    whole = tuple(slice(0, n) for n in SHAPE)
    across = FeatureEdges(features, torch.ones(4), NetworkGrid(SHAPE, whole, SHAPE)).in_box(whole, 0)
    assert (across[2] == 0).all() and across[1].min() > 0


def story_on(image, labels, codes="LPS", layers=1):
    """One stroke into the dark part of the liver that the network misses, in a single slice."""
    session = RefineSession(image, organs_network(axis_codes=codes), RefineSettings(layers=layers))
    before = session.predict().copy()
    constraints = Constraints(image.geometry)
    constraints.add_strokes(labels)
    result = session.refine(constraints)
    assert result.violated_strokes == 0
    return before, result.labels


def one_stroke():
    strokes = np.zeros(scan().geometry.shape, np.uint16)
    strokes[8, 8:16, 14] = 1
    return strokes


def test_a_stroke_in_one_slice_corrects_the_slices_beside_it():
    before, after = story_on(scan(), one_stroke())
    missed = (truth() == 1) & (before != 1)
    found = [(missed[k] & (after[k] == 1)).sum() for k in range(len(after))]
    assert (before[7:10][missed[7:10]] == 0).all() and missed[7:10].any(axis=(1, 2)).all()
    assert found[7] > 20 and found[8] > 20 and found[9] > 20, found
    wrong = (after == 1) & (truth() != 1) & (before != 1)
    assert wrong.sum() < sum(found) / 10


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SPL", "ASR", "PIL"])
def test_it_does_not_matter_how_the_users_voxel_axes_run(codes):
    image, strokes = scan(), one_stroke()
    before, after = story_on(image, strokes)
    turned, drawn = reorient(image, codes), reorient(Volume(strokes, image.ijk_to_ras), codes)
    other_before, other_after = story_on(turned, drawn.array)
    for one, other in ((before, other_before), (after, other_after)):
        back = reorient(Volume(other, turned.ijk_to_ras), "LPS")
        np.testing.assert_array_equal(one, back.array)


def test_growing_of_a_new_class_passes_from_slice_to_slice():
    image = scan()
    session = RefineSession(image, organs_network(), RefineSettings(steps=5), new_classes=["dark liver"])
    constraints = Constraints(image.geometry)
    constraints.add_strokes(np.where(one_stroke() > 0, session.label_of("dark liver"), 0).astype(np.uint16))
    labels = session.refine(constraints).labels == session.label_of("dark liver")
    assert labels[8].sum() > 20 and labels[6].sum() > 20 and labels[10].sum() > 20


def test_a_hundred_and_twenty_slices_take_less_than_ten_times_the_bare_network():
    network = randomized(SmallUNet(2, 1, 2))
    image = noise(1, 120, 48, 48)
    prepared(network, image[:, :2])  # imports and first calls

    def seconds(work):
        start = time.process_time()
        work()
        return time.process_time() - start

    with torch.no_grad():
        bare = min(seconds(lambda: over_slices(network, image, 0)) for _ in range(2))
    assert seconds(lambda: prepared(network, image)) < 10 * bare + 0.5  # measured: 2.3


# ---- Pictures ----


class Redder(nn.Module):
    """Calls a pixel red where its red is above its green and blue."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [2.0, -1.0, -1.0]]).reshape(2, 3, 1, 1))
            self.head.bias.zero_()

    def forward(self, x):
        return self.head(x)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_color_picture_and_strokes_drawn_as_a_picture_go_through_the_command_line(tmp_path, monkeypatch, ending):
    monkeypatch.chdir(tmp_path)
    colors = {
        "channels": [{"name": n} for n in ("red", "green", "blue")],
        "dimensions": 2,
        "intensity": {"rule": "none"},
    }
    write_folder(tmp_path / "net", Redder(), classes=[{"name": "background"}, {"name": "red"}], **colors)
    picture = np.full((20, 30, 3), 200, np.uint8)
    picture[5:15, 4:12, 0], picture[5:15, 20:26, 1] = 250, 250
    strokes = np.zeros((20, 30), np.uint8)
    strokes[10, 22:24], strokes[2, 2:9] = 1, 255
    Image.fromarray(picture).save(f"cells.{ending}")
    Image.fromarray(strokes).save(f"strokes.{ending}")
    common = ["--image", f"cells.{ending}", "--backbone", "net"]
    assert main(["predict", *common, "--output", "before.nrrd"]) == 0
    before = read_volume("before.nrrd").array
    np.testing.assert_array_equal(before[0], picture[..., 0] > picture[..., 1])
    words = ["--current", "before.nrrd", "--scribbles", f"strokes.{ending}", "--output", "after.nrrd"]
    assert main(["refine", *common, *words, "--preview", "after.png"]) == 0
    after = read_volume("after.nrrd").array
    assert (after[0][strokes == 1] == 1).all() and (after[0][strokes == 255] == 0).all()
    assert (after[0, 5:15, 4:12] == 1).all(), "what nobody complained about"

"""The frame in which everything is computed, and the network's run in it."""

from itertools import permutations, product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib import image_state  # noqa: E402
from InteractiveRefineLib.decoding.edges import IntensityWindow  # noqa: E402
from InteractiveRefineLib.image_state import ImageFrame, NetworkState  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.cli_examples import LPS, SHAPE, scan, truth  # noqa: E402
from Testing.tests.grid_examples import grid_matrix, rotation  # noqa: E402
from Testing.tests.session_examples import EMPTY, MISSED, a_backbone, hesitant  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def a_state(image=None, **changes):
    backbone = a_backbone(**changes)
    return NetworkState(ImageFrame(image or scan(), backbone), backbone, 1, CPU)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1)])
def test_voxels_of_the_frame_are_those_of_the_user(order, signs):
    matrix = grid_matrix(np.eye(3)[:, list(order)] * signs, (1.0, 2.0, 3.0))
    volume = Volume(np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32), matrix)
    frame = ImageFrame(volume, a_backbone())
    flat = np.arange(60)
    voxels = frame.voxels(flat, volume.array.shape)
    assert np.array_equal(frame.image[0][tuple(voxels.T)], volume.array.ravel())
    user = np.stack(np.unravel_index(flat, volume.array.shape), axis=1)
    np.testing.assert_allclose(frame.geometry.to_ras(voxels), volume.geometry.to_ras(user), atol=1e-9)
    assert frame.shape == frame.image.shape[1:] == frame.geometry.shape
    np.testing.assert_allclose(frame.spacing, frame.geometry.spacing_kji)


def test_rounding_errors_of_an_oblique_header_do_not_reach_the_spacing():
    for angles in product((0.1, 0.3), repeat=3):
        matrix = grid_matrix(rotation(*angles) @ np.diag([-1, -1, 1]), (0.75, 1.0, 1.5))
        frame = ImageFrame(Volume(scan().array, matrix), a_backbone())
        assert frame.spacing == (1.5, 1.0, 0.75)
    tiny = ImageFrame(Volume(scan().array, grid_matrix(np.diag([-1, -1, 1]), (2e-4, 2e-4, 1.23456e-3))), a_backbone())
    assert tiny.spacing == pytest.approx((1.23456e-3, 2e-4, 2e-4), rel=1e-4)


def everywhere(state):
    """The similarity features (F, *grid shape) of all voxels."""
    shape = state.grid.shape
    index = tuple(torch.as_tensor(i) for i in np.unravel_index(np.arange(np.prod(shape)), shape))
    return state.similarity_features.at(index).T.reshape(-1, *shape)


def test_the_networks_labels_and_logits():
    state = a_state()
    expected = truth()
    expected[:, :, 12:17][expected[:, :, 12:17] == 1] = 0  # the dark part
    assert np.array_equal(state.labels, expected)
    assert state.labels.dtype == np.uint16
    assert state.logits.shape == (3, *SHAPE)
    assert np.array_equal(state.grid_labels, expected)
    assert state.logits.stride(0) == 1  # decoding reads all classes of single voxels
    assert everywhere(state).isfinite().all()


def test_a_sigmoid_network_gets_a_background():
    network = hesitant(n_outputs=2)
    state = a_state(network=network, channel_labels=(1, 2), activation="sigmoid")
    output = torch.tensor([[1.0, -2.0], [-1.0, -3.0]])
    assert state.to_classes(output).tolist() == [[0, 1, -2], [0, -1, -3]]
    assert state.logits.shape[0] == 3
    assert not state.logits[0].any()


@pytest.mark.parametrize("spacing", [None, (4.0, 4.0, 6.0), (3.0, 2.0, 2.0)])
def test_fields_are_brought_to_the_grid_by_the_nearest_voxel(spacing):
    state = a_state(spacing=spacing)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    there = np.stack([state.on_grid(index[..., axis]) for axis in range(3)], axis=-1)
    assert there.shape == (*state.grid.shape, 3)
    positions = state.grid.positions(there.reshape(-1, 3)).reshape(there.shape)
    wanted = np.stack(np.meshgrid(*map(np.arange, state.grid.shape), indexing="ij"), axis=-1)
    scale = np.array(state.grid.shape) / SHAPE
    assert (np.abs(positions - wanted) <= np.maximum(0.5 * scale, 0.5) + 1e-9).all()


WHOLE = tuple(slice(0, n) for n in SHAPE)


def test_edges_use_the_window_of_strokes_and_structures():
    state = a_state()
    strokes = np.concatenate([MISSED, EMPTY])
    image = state.frame.image[0]
    found = state.edges(state.labels, strokes).intensities(WHOLE, CPU)
    # The image is small: all of it is looked at.
    sample = np.concatenate([image[state.labels > 0], image[tuple(strokes.T)]])[None]
    window = IntensityWindow.around(image.reshape(1, -1), sample)
    torch.testing.assert_close(found, window.apply(torch.as_tensor(np.ascontiguousarray(image))[None]))
    assert found.shape == (1, *SHAPE)


@pytest.mark.parametrize("spacing", [None, (4.0, 4.0, 6.0)])
def test_edges_know_the_networks_last_features(spacing):
    state = a_state(spacing=spacing)
    features = everywhere(state)[1:]  # the intensities come first
    found = state.edges(state.labels, MISSED).of_features(WHOLE)
    for axis, (field, expected) in enumerate(zip(found, (15, 23, 31))):
        assert field.shape[axis] == expected
        assert field.isfinite().all() and float(field.max()) > 0
        if spacing is None:
            differences = features.diff(dim=axis + 1).square().mean(dim=0)
            torch.testing.assert_close(field, differences, atol=1e-5, rtol=1e-3)


def test_metal_does_not_decide_the_scale_of_the_similarity_features():
    image = scan()
    bright = image.array.copy()
    bright[0, 0, :3] = 30000
    plain, metal = a_state(), a_state(Volume(bright, LPS))
    inside = (slice(None), slice(1, None))
    torch.testing.assert_close(everywhere(plain)[0][inside], everywhere(metal)[0][inside], rtol=0.2, atol=0.1)


def test_the_range_of_intensities_is_found_in_images_of_any_size(monkeypatch):
    real, asked = torch.quantile, []

    def limited(values, *arguments, **options):
        asked.append(values.shape[-1])
        return real(values, *arguments, **options)

    monkeypatch.setattr(torch, "quantile", limited)
    a_state()
    monkeypatch.setattr(image_state, "_MOST_FOR_QUANTILES", 1000)  # torch.quantile takes 2 ** 24 values at most
    a_state()
    n = int(np.prod(SHAPE))
    assert asked == [-(-n // 7), -(-n // -(-n // 1000))]
    assert asked[1] <= 1000

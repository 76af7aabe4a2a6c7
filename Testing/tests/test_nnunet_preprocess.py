"""nnU-Net's preprocessing, windows and way back to the image, against nnU-Net's own on small random networks.

nnU-Net adds windows up in 16-bit numbers, whose rounding decides where two classes of a random network are nearly
equal. Here it is made to use 32 bits, so that the answers must be equal; the trained networks are compared with it as
it is.
"""

import numpy as np
import pytest
import torch

from InteractiveRefineLib.backbone.config import WindowBlend
from InteractiveRefineLib.backbone.nnunet import load
from InteractiveRefineLib.backbone.nnunet.resample import Resampling
from InteractiveRefineLib.errors import BackboneError, InputError
from InteractiveRefineLib.image_state import ImageFrame
from InteractiveRefineLib.partial.windows import blend_weights, plan_windows
from InteractiveRefineLib.session import RefineSession
from Testing.tests.nnunet_examples import (
    DATASET,
    configuration,
    own_labels,
    plans,
    predictor,
    random_volume,
    without_rounding,
    write_model,
)

pytest.importorskip("nnunetv2", exc_type=ImportError)
pytest.importorskip("dynamic_network_architectures")
pytestmark = pytest.mark.usefixtures("one_thread")

TORCH = {"is_seg": False, "force_separate_z": None, "memefficient_seg_resampling": False}
TWO_CHANNELS = {**DATASET, "channel_names": {"0": "FLAIR", "1": "T1c"}}
REGIONS = {**DATASET, "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "inner": 3, "ignore": 4}}
REGIONS["regions_class_order"] = [1, 2, 3]


def with_torch_resampling(**changes):
    names = ("data", "probabilities", "seg")
    functions = {f"resampling_fn_{n}": "resample_torch_fornnunet" for n in names}
    arguments = {f"resampling_fn_{n}_kwargs": {**TORCH, "is_seg": n == "seg"} for n in names}
    return configuration(**functions, **arguments, **changes)


CASES = {
    "isotropic, several windows": (plans(), DATASET, random_volume((41, 22, 19), (1.0, 1.0, 1.0))),
    "odd windows": (
        plans({"3d_fullres": configuration(patch_size=[14, 18, 10])}), DATASET, random_volume((33, 25, 29), (1, 1, 1)),
    ),
    "smaller than a window": (plans(), DATASET, random_volume((9, 30, 13), (1.0, 1.0, 1.0))),
    "other spacing": (plans(), DATASET, random_volume((15, 18, 20), (1.3, 0.8, 1.7), margin=2)),
    "zero margin and mask": (
        plans({"3d_fullres": configuration(use_mask_for_norm=[True])}),
        DATASET,
        random_volume((22, 25, 21), (1.0, 1.0, 1.2), margin=4),
    ),
    "thick slices, fewer of them": (
        plans({"3d_fullres": configuration(spacing=[5.0, 0.9, 0.9], patch_size=[8, 20, 16])}),
        DATASET,
        random_volume((13, 24, 22), (0.7, 0.7, 4.0)),
    ),
    "thick slices, more of them": (
        plans({"3d_fullres": configuration(spacing=[1.5, 1.2, 1.2])}), DATASET, random_volume((7, 24, 22), (1, 1, 5)),
    ),
    "as many thick slices": (
        plans({"3d_fullres": configuration(spacing=[4.0, 1.2, 1.2])}), DATASET, random_volume((9, 24, 22), (1, 1, 4)),
    ),
    "thick in the network only": (
        plans({"3d_fullres": configuration(spacing=[4.0, 1.0, 1.0])}), DATASET, random_volume((24, 20, 18), (1, 1, 1)),
    ),
    "thick along another axis than the network's": (
        plans({"3d_fullres": configuration(spacing=[4.0, 1.0, 1.0])}), DATASET, random_volume((24, 7, 18), (1, 5, 1)),
    ),
    "thick along J, transposed": (
        plans({"3d_fullres": configuration(spacing=[4.0, 1.1, 0.9])}, transpose_forward=[1, 0, 2],
              transpose_backward=[1, 0, 2]),
        DATASET,
        random_volume((20, 9, 18), (1.0, 5.0, 1.0), margin=1),
    ),
    "turned around": (
        plans({"3d_fullres": configuration(spacing=[1.0, 1.0, 2.0])}, transpose_forward=[2, 0, 1],
              transpose_backward=[1, 2, 0]),
        DATASET,
        random_volume((12, 19, 26), (1.0, 1.0, 2.0)),
    ),
    "two channels": (
        plans({"3d_fullres": configuration(normalization_schemes=["ZScoreNormalization", "NoNormalization"],
                                           use_mask_for_norm=[True, False])}),
        TWO_CHANNELS,
        random_volume((18, 22, 20), (1.2, 1.0, 1.0), channels=2, margin=3),
    ),
    "CT": (
        plans({"3d_fullres": configuration(normalization_schemes=["CTNormalization"])}), DATASET,
        random_volume((18, 22, 20), (0.8, 0.8, 1.5), offset=-60),
    ),
    "0 to 1": (
        plans({"3d_fullres": configuration(normalization_schemes=["RescaleTo01Normalization"])}), DATASET,
        random_volume((18, 22, 20), (0.8, 0.8, 1.5)),
    ),
    "linear": (
        plans({"3d_fullres": with_torch_resampling(spacing=[1.5, 1.2, 1.2])}), DATASET,
        random_volume((18, 22, 20), (1.0, 1.0, 1.2)),
    ),
    "linear, thick slices": (
        plans({"3d_fullres": with_torch_resampling(spacing=[5.0, 0.8, 0.8])}), DATASET,
        random_volume((9, 22, 20), (1.0, 1.0, 4.0)),
    ),
    "regions with an ignore label": (plans(), REGIONS, random_volume((20, 22, 20), (1.0, 1.0, 1.3))),
    "slice by slice": (
        plans({"2d": configuration(dimensions=2, spacing=[0.8, 0.9], patch_size=[16, 20])}), DATASET,
        random_volume((6, 24, 27), (1.0, 1.0, 2.5)),
    ),
    "slice by slice, thick and transposed": (
        plans({"2d": configuration(dimensions=2)}, transpose_forward=[1, 0, 2], transpose_backward=[1, 0, 2]), DATASET,
        random_volume((20, 5, 27), (1.2, 5.0, 1.2)),
    ),
    "one slice": (
        plans({"2d": configuration(dimensions=2, spacing=[1.4, 1.4])}), DATASET,
        random_volume((1, 33, 27), (1.0, 1.0, 1.0)),
    ),
    "a linear way back along thick slices": (
        plans({"3d_fullres": configuration(
            spacing=[5.0, 0.9, 0.9],
            resampling_fn_probabilities_kwargs={"is_seg": False, "order": 1, "order_z": 1, "force_separate_z": None})}),
        DATASET,
        random_volume((11, 20, 20), (0.7, 0.7, 4.0)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_networks_input_and_the_label_map_equal_nnunets(case, tmp_path, monkeypatch):
    without_rounding(monkeypatch)
    said, dataset, image = CASES[case]
    folder = write_model(tmp_path, said, dataset)
    theirs = predictor(folder)
    backbone = load(folder, {})

    properties = {"spacing": [float(s) for s in image.geometry.spacing_kji]}
    preprocessor = theirs.configuration_manager.preprocessor_class(verbose=False)
    expected, _, _ = preprocessor.run_case_npy(
        image.channels, None, properties, theirs.plans_manager, theirs.configuration_manager, theirs.dataset_json
    )
    frame = ImageFrame(image, backbone)
    found, grid = backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))
    assert found.shape == expected.shape
    assert grid.shape == expected.shape[1:]
    assert np.abs(found.numpy() - expected).max() < 2e-5

    labels = own_labels(theirs, image)
    assert len(np.unique(labels)) >= 3, "a case with every label, or the comparison says little"
    different = int((RefineSession(image, backbone).predict() != labels).sum())
    assert different <= 1e-4 * labels.size, f"{different} of {labels.size} voxels"


def test_colors_are_brought_to_0_to_1_and_the_pictures_spacing_does_not_matter(tmp_path):
    channels = {str(c): name for c, name in enumerate("RGB")}
    said = plans({"2d": configuration(
        dimensions=2, normalization_schemes=["RGBTo01Normalization"] * 3, use_mask_for_norm=[False] * 3
    )}, image_reader_writer="NaturalImage2DIO")  # fmt: skip
    backbone = load(write_model(tmp_path, said, {**DATASET, "channel_names": channels}), {})
    picture = random_volume((1, 20, 24), (0.3, 0.3, 7.0), channels=3)
    picture.array[:] = np.clip(np.round(picture.array + 128), 0, 255)
    frame = ImageFrame(picture, backbone)
    found, grid = backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))
    assert grid.shape == (1, 20, 24)
    assert torch.equal(found, torch.from_numpy(picture.array / np.float32(255)))
    picture.array[0, 0, 0, 0] = 256
    with pytest.raises(InputError, match="expects colors from 0 to 255, but .* from 0 to 256"):
        backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))


@pytest.mark.parametrize("reader", ["NibabelIOWithReorient", "SimpleITKIOWithReorient"])
def test_an_image_is_turned_to_ras_as_nnunets_reader_turns_it(reader, tmp_path):
    import importlib

    from InteractiveRefineLib.image_io import read_volume, write_volume
    from InteractiveRefineLib.volume import Volume
    from Testing.tests.grid_examples import ALL_ORIENTATIONS, grid_matrix

    module = {"N": "nibabel_reader_writer", "S": "simpleitk_reader_writer"}[reader[0]]
    io = getattr(importlib.import_module(f"nnunetv2.imageio.{module}"), reader)()
    backbone = load(write_model(tmp_path, plans(image_reader_writer=reader, transpose_forward=[2, 0, 1])), {})
    for number in (0, 7, 19, 29, 38, 47):
        image = Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), grid_matrix(ALL_ORIENTATIONS[number]), "n")
        path = tmp_path / f"{number}.nii.gz"
        write_volume(image, path)
        expected, properties = io.read_images([str(path)])
        frame = ImageFrame(read_volume(path), backbone)
        assert np.array_equal(frame.image, expected.transpose(0, 3, 1, 2))
        assert np.allclose(frame.geometry.spacing_kji, [properties["spacing"][a] for a in (2, 0, 1)])


def test_without_reorienting_the_axes_stay_as_they_are_stored(tmp_path):
    from Testing.tests.grid_examples import ALL_ORIENTATIONS, grid_matrix, numbered_volume, rotation

    backbone = load(write_model(tmp_path), {})
    for directions in ALL_ORIENTATIONS:
        image = numbered_volume(grid_matrix(rotation(0.3, -0.2, 0.4) @ directions))
        assert np.array_equal(ImageFrame(image, backbone).image[0], image.array)


def test_a_single_slice_that_lies_otherwise_is_still_the_slice(tmp_path):
    backbone = load(write_model(tmp_path, plans({"2d": configuration(dimensions=2, spacing=[1.0, 2.0])})), {})
    coronal = random_volume((20, 1, 24), (1.0, 1.0, 1.0))
    frame = ImageFrame(coronal, backbone)
    assert frame.shape == (1, 20, 24)
    _, grid = backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))
    assert grid.shape == (1, 20, 12)


def test_a_3d_network_refuses_a_single_slice(tmp_path):
    backbone = load(write_model(tmp_path), {})
    frame = ImageFrame(random_volume((1, 20, 24), (1.0, 1.0, 1.0)), backbone)
    with pytest.raises(BackboneError, match="'Dataset001_Test, 3d_fullres' is a 3-D network, but the image is a singl"):
        backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))


def test_windows_start_where_nnunets_start():
    sliding = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")
    for n in range(5, 90):
        for patch in (5, 7, 8, 13, 16, 35):
            expected = sliding.compute_steps_for_sliding_window((max(n, patch),), (patch,), 0.5)[0]
            found = [w.start[0] for w in plan_windows((max(n, patch), 1, 1), (patch, 1, 1), 0.5)]
            assert found == expected, (n, patch)


@pytest.mark.parametrize("patch", [(16, 24, 20), (13, 9, 21), (1, 32, 24)])
def test_windows_are_weighted_as_nnunet_weights_them(patch, tmp_path):
    sliding = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")
    flat = tuple(n for n in patch if n > 1)
    expected = sliding.compute_gaussian(flat, 1 / 8, 10, device=torch.device("cpu")).float().reshape(patch) / 10
    blend = load(write_model(tmp_path), {}).config.window_blend
    assert torch.allclose(blend_weights(patch, blend), expected, rtol=1e-3, atol=0)
    assert blend == WindowBlend("nnunet", floor=blend.floor)


@pytest.mark.parametrize(
    ("current", "new", "axis"),
    [
        ((5.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0),
        ((1.0, 1.0, 1.0), (1.0, 1.0, 5.0), 2),
        ((1.0, 4.0, 1.0), (5.0, 1.0, 1.0), 1),  # what the image is decides
        ((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), None),  # three times is not more than three times
        ((1.25, 0.24, 1.25), (1.0, 1.0, 1.0), None),
    ],
)
def test_one_axis_is_treated_on_its_own_where_its_voxels_are_much_longer(current, new, axis):
    assert Resampling("resample_data_or_seg_to_shape", 3).coarse_axis(current, new) == axis
    assert Resampling("resample_data_or_seg_to_shape", 3, separate=False).coarse_axis(current, new) is None

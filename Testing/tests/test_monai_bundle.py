"""A MONAI bundle predicts what MONAI itself predicts with it, however the image lies."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
nibabel = pytest.importorskip("nibabel")

from InteractiveRefineLib.backbone.monai_bundle import load  # noqa: E402
from InteractiveRefineLib.backbone.monai_bundle.paint import paint_order  # noqa: E402
from InteractiveRefineLib.errors import BackboneError, InputError  # noqa: E402
from InteractiveRefineLib.geometry import Geometry  # noqa: E402
from InteractiveRefineLib.image_io import read_volume  # noqa: E402
from InteractiveRefineLib.image_state import ImageFrame  # noqa: E402
from InteractiveRefineLib.orientation import AxisOrder  # noqa: E402
from InteractiveRefineLib.partial.prepare import prepare  # noqa: E402
from InteractiveRefineLib.session import RefineSession  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.monai_bundles import (  # noqa: E402
    activations,
    discrete,
    export_torchscript,
    inference,
    inverted,
    make_bundle,
    metadata,
    monai_prediction,
    small_unet,
)

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore")]

CLASSES = ("background", "liver", "spleen")


def turned(degrees, axes=(1, 2)):
    """A rotation in the plane of two RAS axes."""
    matrix = np.eye(3)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = axes
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


#: Directions and spacing of the voxel axes I, J, K in RAS.
PLACES = {
    "straight": np.diag([1.0, 1.5, 2.0]),
    "flipped and permuted": np.array([[0, 0, -2.0], [-1.2, 0, 0], [0, 1.5, 0]]),
    "oblique": turned(20) @ turned(-12, (0, 1)) @ np.diag([-1.0, -1.3, 2.5]),
    "halfway": turned(44) @ np.diag([1.0, 1.0, 2.0]),
}


def write_image(path, place, shape=(20, 18, 14), seed=3, channels=1):
    """A smooth random image of (I, J, K) voxels as NIfTI."""
    rng = np.random.default_rng(seed)
    array = np.zeros((*shape, channels), dtype=np.float32)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    for c in range(channels):
        for center, width in zip(rng.uniform(-1, 1, (6, 3)), rng.uniform(0.2, 0.5, 6)):
            distance = ((grid - center[:, None, None, None]) ** 2).sum(axis=0)
            array[..., c] += rng.normal() * np.exp(-distance / width**2) * 100
    array += rng.normal(0, 5, array.shape).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = PLACES[place], (-30, 12, 70)
    nibabel.save(nibabel.Nifti1Image(array[..., 0] if channels == 1 else array, affine), path)
    return path


def oriented(codes="RAS"):
    return {"_target_": "Orientationd", "keys": "@image_key", "axcodes": codes}


def spaced(*pixdim, **more):
    return {"_target_": "Spacingd", "keys": "@image_key", "pixdim": list(pixdim), "mode": "bilinear", **more}


def step(name, **arguments):
    return {"_target_": name, "keys": "@image_key", **arguments}


NORMAL = step("NormalizeIntensityd")
PAD = step("DivisiblePadd", k=4)


def windows(size, **more):
    return {"_target_": "SlidingWindowInferer", "roi_size": size, "sw_batch_size": 4, **more}


def same(folder, image, **options):
    """Our labels (I, J, K) and those of MONAI's own inference; at most one voxel in a thousand may differ."""
    backbone = load(folder, options)
    assert not backbone.network.training
    ours = RefineSession(read_volume(image), backbone).predict().T
    theirs = monai_prediction(folder, image)
    assert theirs.shape == (1, *ours.shape)
    assert min(np.bincount(theirs.astype(int).ravel(), minlength=3)) > 20, "every class is somewhere"
    assert (ours != theirs[0]).mean() <= 1e-3
    return ours


PIPELINES = {
    "nothing but padding": [NORMAL, PAD],
    "a coarser grid": [oriented(), spaced(2.0, 2.0, 2.5), NORMAL, PAD],
    "a finer grid": [oriented("LPS"), spaced(0.8, 0.9, 1.1), NORMAL, PAD],
    "corners aligned": [oriented("SAR"), spaced(2.0, 1.5, 1.0, align_corners=True), NORMAL, PAD],
    "cropped, then resampled": [
        NORMAL,
        step("CropForegroundd", source_key="@image_key", select_fn="$lambda x: x > 0.8", margin=1),
        oriented(),
        spaced(1.5, 1.5, 1.5),
        PAD,
    ],
    "resampled, then cropped": [
        oriented("LAS"), spaced(1.5, 1.5, 1.5), NORMAL, step("CenterSpatialCropd", roi_size=[12, 12, 12]),
    ],
    "a fixed size": [oriented(), step("Resized", spatial_size=[16, 20, 12], mode="trilinear"), NORMAL],
    "padded and cropped": [oriented(), step("ResizeWithPadOrCropd", spatial_size=[24, 16, 16]), NORMAL],
}  # fmt: skip


@pytest.mark.parametrize(
    ("pipeline", "place"),
    [
        ("nothing but padding", "flipped and permuted"),
        *[("a coarser grid", place) for place in PLACES],
        ("a finer grid", "oblique"),
        ("corners aligned", "flipped and permuted"),
        ("cropped, then resampled", "oblique"),
        ("resampled, then cropped", "flipped and permuted"),
        ("a fixed size", "oblique"),
        ("padded and cropped", "straight"),
    ],
)
def test_labels_are_those_of_monai(tmp_path, pipeline, place):
    folder = make_bundle(tmp_path / "b", inference(small_unet(), PIPELINES[pipeline]), metadata(CLASSES))
    same(folder, write_image(tmp_path / "image.nii.gz", place))


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_ramp_says_where_the_nodes_lie(tmp_path, pipeline):
    """What stands at a node is the image at the position that the grid names, along every axis."""
    steps = [s for s in PIPELINES[pipeline] if s is not NORMAL]
    folder = make_bundle(tmp_path / "b", inference(small_unet(), steps), metadata(CLASSES))
    backbone = load(folder, {})
    image = read_volume(write_image(tmp_path / "image.nii.gz", "oblique"))
    for axis in range(3):
        shape = image.array.shape
        ramp = np.broadcast_to(np.arange(1.0, 1 + shape[axis]).reshape(-1, *[1] * (2 - axis)), shape)
        frame = ImageFrame(Volume(ramp, image.ijk_to_ras), backbone)
        tensor, grid = backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))
        assert tuple(tensor.shape[1:]) == grid.shape
        turned_axis = next(a for a in range(3) if np.ptp(np.moveaxis(frame.image[0], a, 0)[:, 0, 0]) > 0)
        line = np.moveaxis(frame.image[0], turned_axis, 0)[:, 0, 0]
        positions = grid.image_positions(turned_axis)
        inside = (positions >= 0) & (positions <= len(line) - 1)
        expected = np.interp(positions[inside], np.arange(len(line)), line)
        middle = [n // 2 for n in grid.shape]
        middle.pop(turned_axis)
        found = np.moveaxis(tensor[0].numpy(), turned_axis, 0)[:, middle[0], middle[1]]
        assert inside.sum() > 5
        assert np.allclose(found[inside], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("steps", "crop", "shape"),
    [
        ([step("CenterSpatialCropd", roi_size=[12, 12, 12])], ((4, 16), (3, 15), (1, 13)), (12, 12, 12)),
        (
            [step("CenterSpatialCropd", roi_size=[12, 12, 12]), spaced(0.5, 1.5, 4.0)],
            ((4, 16), (3, 15), (1, 13)),
            (23, 12, 6),
        ),
        (
            [spaced(2.0, 1.5, 2.0), step("CenterSpatialCropd", roi_size=[5, 18, 14])],
            ((5, 16), (0, 18), (0, 14)),  # nodes at 6, 8, ... 14, each two voxels wide
            (5, 18, 14),
        ),
        ([step("SpatialPadd", spatial_size=[24, 24, 14])], ((0, 20), (0, 18), (0, 14)), (24, 24, 14)),
    ],
    ids=["cropped", "then resampled", "after resampling", "padded"],
)
def test_what_the_bundle_crops_away_is_outside_of_what_the_network_sees(tmp_path, steps, crop, shape):
    folder = make_bundle(tmp_path / "b", inference(small_unet(), steps), metadata(CLASSES))
    backbone = load(folder, {})
    frame = ImageFrame(read_volume(write_image(tmp_path / "image.nii.gz", "straight")), backbone)
    grid = backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))[1]
    assert grid.shape == shape
    assert grid.crop == tuple(slice(a, b) for a, b in crop)


@pytest.mark.parametrize(
    "inferer",
    [
        windows([8, 8, 8]),
        windows([8, 12, 8], overlap=0.5, mode="gaussian"),
        windows([12, 12, 8], overlap=0.7, mode="gaussian", sigma_scale=0.3),
        windows([8, 8, 12], overlap=[0.25, 0.5, 0.625], mode="constant"),
        windows([32, 12, 24], overlap=0.5, mode="gaussian"),
        windows([24, 12, 20], padding_mode="replicate"),
        windows([24, 24, 8], padding_mode="reflect"),
        windows([-1, 8, -1], overlap=0.5),
        windows(16),
    ],
    ids=lambda inferer: "-".join(str(v) for k, v in inferer.items() if k not in ("_target_", "sw_batch_size")),
)
def test_windows_are_those_of_monai(tmp_path, inferer):
    folder = make_bundle(tmp_path / "b", inference(small_unet(), [NORMAL, PAD], inferer=inferer), metadata(CLASSES))
    image = write_image(tmp_path / "image.nii.gz", "straight", (14, 12, 10))
    backbone = load(folder, {})
    frame = ImageFrame(read_volume(image), backbone)
    tensor, grid = backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))
    with torch.no_grad():
        ours = prepare(backbone, grid, tensor).logits
    assert torch.allclose(ours, logits_of_monai(folder, image), atol=1e-4)


def logits_of_monai(folder, image):
    """The blended logits (C, I, J, K) of MONAI's own inferer."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.json"))
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    data = parser.get_parsed_content("preprocessing")({"image": str(image)})
    with torch.no_grad():
        return parser.get_parsed_content("inferer")(data["image"][None], network.eval())[0].as_tensor()


RESAMPLED = [oriented(), spaced(2.0, 2.0, 2.5), NORMAL, PAD]


@pytest.mark.parametrize(
    "post",
    [
        [discrete(argmax=True), inverted()],
        [activations(softmax=True), discrete(argmax=True), inverted(nearest=True)],
        [inverted(), discrete(argmax=True)],
        [inverted(nearest=True), activations(softmax=True), discrete(argmax=True)],
        [
            activations(softmax=True), inverted(), discrete(argmax=True),
            {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1, 2]},
        ],
    ],
    ids=["labels resampled", "nearest", "logits resampled", "nearest logits", "largest component"],
)  # fmt: skip
def test_every_way_back_to_the_image_is_the_bundles_own(tmp_path, post):
    folder = make_bundle(tmp_path / "b", inference(small_unet(), RESAMPLED, post=post), metadata(CLASSES))
    image = write_image(tmp_path / "image.nii.gz", "oblique")
    ours = RefineSession(read_volume(image), load(folder, {})).predict().T
    theirs = np.rint(monai_prediction(folder, image)[0])
    assert (ours != theirs).mean() <= 1e-3
    assert (ours > 0).any()


def test_a_bundle_without_a_way_back_is_interpolated_here(tmp_path):
    post = [activations(softmax=True), discrete(argmax=True)]
    folder = make_bundle(tmp_path / "b", inference(small_unet(), RESAMPLED, post=post), metadata(CLASSES))
    full = make_bundle(tmp_path / "full", inference(small_unet(), RESAMPLED), metadata(CLASSES))
    image = read_volume(write_image(tmp_path / "image.nii.gz", "oblique"))
    ours, theirs = (RefineSession(image, load(f, {})).predict() for f in (folder, full))
    assert 0 < (ours != theirs).mean() < 0.1  # logits instead of probabilities: borders lie a little elsewhere


def test_what_would_need_too_much_memory_is_interpolated_here(tmp_path, monkeypatch):
    monkeypatch.setattr("InteractiveRefineLib.backbone.monai_bundle.answer._MOST_BYTES", 4 * 3 * 20 * 18 * 14 - 1)
    image = read_volume(write_image(tmp_path / "image.nii.gz", "oblique"))
    nearest = [discrete(argmax=True), inverted()]
    for post, own in ((None, False), (nearest, True)):
        folder = make_bundle(tmp_path / str(own), inference(small_unet(), RESAMPLED, post=post), metadata(CLASSES))
        backbone = load(folder, {})
        frame = ImageFrame(image, backbone)
        grid = backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))[1]
        assert (grid.own_channels is not None) is own


def test_one_channel_counts_above_its_threshold(tmp_path):
    for n, threshold in enumerate((0.5, 0.8)):
        post = [activations(sigmoid=True), inverted(), discrete(threshold=threshold)]
        config = inference(small_unet(out_channels=1), RESAMPLED, post=post)
        folder = make_bundle(tmp_path / f"b{n}", config, metadata(["tumor"]))
        image = write_image(tmp_path / "image.nii.gz", "oblique")
        session = RefineSession(read_volume(image), load(folder, {}))
        ours = session.predict().T
        assert [(s.label, s.name) for s in session.classes] == [(1, "tumor")]
        assert (ours != monai_prediction(folder, image)[0]).mean() <= 1e-3
        assert 0.01 < ours.mean() < 0.99
        assert (session._state.logit_labels != session._state.labels).mean() < 0.05


NESTED = ("tumor core", "whole tumor", "enhancing tumor")
#: The last step of MONAI's BraTS bundle: 1 core, 2 whole, 4 enhancing.
BRATS_NUMBERS = "$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))"


def nested_bundle(folder, *last):
    post = [activations(sigmoid=True), inverted(), discrete(threshold=0.5), *last]
    return make_bundle(folder, inference(small_unet(), RESAMPLED, post=post), metadata(NESTED))


def test_classes_inside_each_other_are_painted_as_the_bundle_does_it(tmp_path):
    folder = nested_bundle(tmp_path / "b", {"_target_": "Lambdad", "keys": "pred", "func": BRATS_NUMBERS})
    image = write_image(tmp_path / "image.nii.gz", "oblique")
    backbone = load(folder, {})
    assert (backbone.config.activation, backbone.config.paint) == ("regions", (1, 0, 2))
    assert backbone.details[-1].endswith("in this order: whole tumor, tumor core, enhancing tumor")
    session = RefineSession(read_volume(image), backbone)
    ours, theirs = session.predict().T, monai_prediction(folder, image)[0]
    number = {0: 0, session.label_of("tumor core"): 1, session.label_of("whole tumor"): 2, 3: 4}
    assert min((theirs == n).sum() for n in (0, 1, 2, 4)) > 20
    assert (np.vectorize(number.get)(ours) != theirs).mean() <= 1e-3
    assert (session._state.logit_labels != session._state.labels).mean() < 0.1


def test_or_in_the_order_that_the_user_gives(tmp_path):
    folder = nested_bundle(tmp_path / "b")
    image = write_image(tmp_path / "image.nii.gz", "oblique")
    masks = monai_prediction(folder, image) > 0
    for order in (NESTED, NESTED[::-1]):
        ours = RefineSession(read_volume(image), load(folder, {"paint": list(order)})).predict().T
        expected = np.zeros(ours.shape)
        for name in order:
            expected[masks[NESTED.index(name)]] = 1 + NESTED.index(name)
        assert (ours != expected).mean() <= 1e-3
    for wrong in (NESTED[:2], [*NESTED, "liver"]):
        with pytest.raises(
            BackboneError, match="'paint' must name every overlapping class once, .*: tumor core, whole"
        ):
            load(folder, {"paint": list(wrong)})


def test_without_any_order_the_likeliest_of_overlapping_classes_wins(tmp_path):
    folder = nested_bundle(tmp_path / "b")
    image = write_image(tmp_path / "image.nii.gz", "oblique")
    backbone = load(folder, {})
    assert any("give 'paint'" in note for note in backbone.details)
    ours = RefineSession(read_volume(image), backbone).predict().T
    assert ((ours > 0) != monai_prediction(folder, image).any(axis=0)).mean() <= 1e-3
    assert set(np.unique(ours)) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (BRATS_NUMBERS, (1, 0, 2)),
        ("$lambda x: x[[0]]", ()),
        ("$lambda x: x", ()),
        ("$lambda x: x[[0]] + 2 * x[[1]] + 4 * x[[2]]", ()),
        ("$lambda x: x[[7]]", ()),
    ],
)
def test_an_order_is_learned_only_from_what_paints(function, expected):
    from monai.transforms import AsDiscreted, Lambdad

    steps = [AsDiscreted("pred", threshold=0.5), Lambdad("pred", eval(function[1:], {"torch": torch}))]
    assert paint_order(steps, 3) == expected
    assert paint_order(steps[1:], 3) == ()
    assert paint_order(steps, 20) == ()


def test_torchscript_of_monais_own_export_predicts_the_same(tmp_path):
    image = write_image(tmp_path / "image.nii.gz", "flipped and permuted")
    folder = make_bundle(tmp_path / "b", inference(small_unet(), RESAMPLED), metadata(CLASSES))
    expected = RefineSession(read_volume(image), load(folder, {})).predict()
    export_torchscript(folder)
    assert [p.name for p in (folder / "models").iterdir()] == ["model.ts"]
    found = RefineSession(read_volume(image), load(folder, {})).predict()
    assert np.array_equal(found, expected)


def test_several_channels_are_read_as_several_files(tmp_path):
    config = inference(small_unet(in_channels=2), [step("NormalizeIntensityd", channel_wise=True), PAD])
    config["preprocessing"]["transforms"].pop(1)  # several files are stacked channel first, as in MONAI's BraTS bundle
    folder = make_bundle(tmp_path / "b", config, metadata(CLASSES, ("FLAIR", "T1c")))
    files = [write_image(tmp_path / f"{n}.nii.gz", "straight", seed=n) for n in (5, 6)]
    first, second = (read_volume(f) for f in files)
    both = Volume(np.stack([first.array, second.array]), first.ijk_to_ras)
    backbone = load(folder, {})
    assert backbone.config.channels == ("FLAIR", "T1c")
    ours = RefineSession(both, backbone).predict().T
    assert (ours != monai_prediction(folder, files)[0]).mean() <= 1e-3
    with pytest.raises(BackboneError, match=r"needs 2 channel\(s\) \(FLAIR, T1c\)"):
        RefineSession(first, backbone)


def test_a_label_that_only_training_has_is_not_missed(tmp_path):
    steps = [dict(s, keys=["image", "label"]) for s in (oriented("LPS"), NORMAL, PAD)]
    steps[0].update(allow_missing_keys=False)
    folder = make_bundle(tmp_path / "b", inference(small_unet(), steps), metadata(CLASSES))
    image = write_image(tmp_path / "image.nii.gz", "straight")
    ours = RefineSession(read_volume(image), load(folder, {})).predict()
    same_without = make_bundle(
        tmp_path / "c", inference(small_unet(), [oriented("LPS"), NORMAL, PAD]), metadata(CLASSES)
    )
    assert np.array_equal(ours, RefineSession(read_volume(image), load(same_without, {})).predict())


def test_slices_of_a_volume_go_to_a_2d_network(tmp_path):
    slices = {"_target_": "SliceInferer", "roi_size": [16, 16], "spatial_dim": 2, "overlap": 0.5}
    config = inference(small_unet(spatial_dims=2), [oriented(), NORMAL], inferer=slices)
    folder = make_bundle(tmp_path / "b", config, metadata(CLASSES, dimensions=2))
    same(folder, write_image(tmp_path / "image.nii.gz", "flipped and permuted"))


def test_a_2d_network_takes_a_picture(tmp_path):
    from PIL import Image

    array = np.random.default_rng(0).integers(0, 255, (40, 28, 3)).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / "image.png")
    steps = [step("ScaleIntensityd"), PAD]
    config = inference(small_unet(spatial_dims=2, in_channels=3), steps, inferer=windows([16, 16], overlap=0.5))
    folder = make_bundle(tmp_path / "b", config, metadata(CLASSES, "RGB", dimensions=2))
    backbone = load(folder, {})
    ours = RefineSession(read_volume(tmp_path / "image.png"), backbone).predict()
    theirs = monai_prediction(folder, tmp_path / "image.png")[0]
    assert ours.shape == (1, 40, 28)
    assert (theirs != ours[0].T).mean() <= 1e-3
    with pytest.raises(InputError, match="two-dimensional images; choose a single slice"):
        RefineSession(Volume(np.random.rand(3, 8, 8, 8), np.eye(4)), backbone).predict()


@pytest.mark.parametrize(
    ("steps", "inferer", "message"),
    [
        ([step("RandFlipd", prob=0.5)], None, "'preprocessing' holds RandFlipd, which is random"),
        ([step("Rotated", angle=0.3)], None, "Rotated turns or shears the image"),
        ([step("Flipd", spatial_axis=0)], None, "Flipd turns or shears the image"),
        ([spaced(1.0, 1.0, 1.0, diagonal=True)], None, "Spacingd turns or shears the image"),
        ([spaced(1.0, 1.0, 1.0), oriented()], None, "Spacingd comes before Orientationd"),
        ([step("EnsureTyped", track_meta=False)], None, "EnsureTyped forgets where the voxels lie"),
        ([step("RepeatChanneld", repeats=2)], None, "makes 2 channels, but metadata.json names 1"),
        (
            [step("SpatialCropd", roi_size=[9])],
            None,
            r"cannot be made: ValueError: .* made with MONAI 1\.6\.1, installed",
        ),
        ([step("Resized", spatial_size=[9, 9])], None, "Resized of 'preprocessing' failed on this image"),
        ([], {"_target_": "SliceInferer", "roi_size": [8, 8], "spatial_dim": 1}, "spatial_dim 1 cannot be used"),
        ([], windows([8, 8, 8], padding_mode="circular"), "padding 'circular' with value 0 cannot be used"),
        ([], windows([8, 8, 8], cval=1.0), "padding 'constant' with value 1 cannot be used"),
    ],
)
def test_what_cannot_be_followed_is_named(tmp_path, steps, inferer, message):
    folder = make_bundle(tmp_path / "b", inference(small_unet(), steps, inferer=inferer), metadata(CLASSES))
    with pytest.raises(BackboneError, match=message):
        RefineSession(read_volume(write_image(tmp_path / "image.nii.gz", "oblique")), load(folder, {})).predict()


def test_all_codes_of_monai_are_met_for_every_way_an_image_may_lie(tmp_path):
    """After our turn, MONAI's Orientationd has nothing left to do."""
    from monai.data import MetaTensor
    from monai.transforms import Orientation

    folder = make_bundle(tmp_path / "b", inference(small_unet(), [oriented("LPI")]), metadata(CLASSES))
    preprocessing = load(folder, {}).preprocessing
    rng = np.random.default_rng(0)
    for _ in range(60):
        affine = np.eye(4)
        affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] @ np.diag(rng.uniform(0.5, 3, 3))
        geometry = Geometry((4, 5, 6), affine)
        order = AxisOrder.toward(geometry, preprocessing.codes_by_tensor_axis(geometry))
        frame = order.apply_geometry(geometry)
        expected = Orientation("LPI")(MetaTensor(torch.zeros(1, 6, 5, 4), affine=affine))
        assert np.allclose(frame.kji_to_ras, expected.affine)
        assert frame.shape == tuple(expected.shape[1:])

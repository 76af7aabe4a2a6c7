"""The image of several channels: which volumes it is made of, in the scene, and what of them counts as a change."""

import numpy as np
import pytest
from grid_examples import grid_matrix
from scene_examples import add_nonlinear_transform, add_transform, add_volume, matrixFromArray

from InteractiveRefineLib.errors import InputError
from InteractiveRefineScene.scene_image import (
    SceneImage,
    channelNode,
    channelNodes,
    furtherChannels,
    imageKey,
    setChannelNode,
    whyNotChannels,
)

BOTH = ("FLAIR", "T1c")
VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.fixture
def scene(slicer_scene):
    return slicer_scene.scene


@pytest.fixture
def flair(scene):
    return add_volume(scene, VOXELS, name="a FLAIR")


@pytest.fixture
def t1c(scene):
    return add_volume(scene, VOXELS + 100, name="a T1c")


def test_a_missing_channel_is_named_with_what_to_do(flair, t1c):
    why = "This network needs FLAIR + T1c, and there is no T1c. Choose its volume below the network."
    assert whyNotChannels(flair, BOTH) == why
    with pytest.raises(InputError, match="there is no T1c"):
        SceneImage().read(flair, BOTH)
    assert "no T1c and no T2." in whyNotChannels(flair, (*BOTH, "T2"))
    setChannelNode(flair, "T1c", t1c)
    assert whyNotChannels(flair, BOTH) == ""
    flair.GetScene().RemoveNode(t1c)
    assert whyNotChannels(flair, BOTH) == why


def test_the_chosen_volumes_are_the_channels_in_the_networks_order(flair, t1c, scene):
    t2 = add_volume(scene, VOXELS + 200, name="a T2")
    setChannelNode(flair, "T1c", t1c)
    setChannelNode(flair, "T2", t2)
    image = SceneImage().read(flair, ("FLAIR", "T2", "T1c"))
    np.testing.assert_array_equal(image.array, np.stack([VOXELS, VOXELS + 200, VOXELS + 100]))
    assert image.array.dtype == np.int16 and image.name == "a FLAIR + a T2 + a T1c"
    assert channelNode(flair, " t1C ") is t1c, "as the library, which does not look at case"
    assert channelNodes(flair) == [t1c, t2]


def test_a_network_of_one_channel_gets_the_source_volume_alone(flair, t1c):
    setChannelNode(flair, "T1c", t1c)
    for channels in (("CT",), ()):
        assert SceneImage().read(flair, channels).array.shape == (2, 3, 4)


def test_the_components_of_a_color_volume_are_its_channels(scene, t1c):
    colors = np.arange(72, dtype=np.uint8).reshape(2, 3, 4, 3)
    photo = add_volume(scene, colors, name="photo", vector=True)
    names = ("red", "green", "blue")
    assert furtherChannels(photo, names) == ()
    np.testing.assert_array_equal(SceneImage().read(photo, names).array, np.moveaxis(colors, -1, 0))
    assert furtherChannels(photo, (*names, "T1c")) == ("T1c",)
    setChannelNode(photo, "T1c", t1c)
    assert SceneImage().read(photo, (*names, "T1c")).array.shape == (4, 2, 3, 4)


def test_a_volume_on_another_grid_is_resampled_and_the_user_is_told(scene, flair):
    fine = grid_matrix(spacing=(0.25, 0.75, 2.5))
    t1c = add_volume(scene, np.repeat(VOXELS, 2, axis=2).astype(np.float32), fine, name="a T1c")
    setChannelNode(flair, "T1c", t1c)
    image = SceneImage()
    array = image.read(flair, BOTH).array
    assert array.shape == (2, 2, 3, 4) and array.dtype == np.float32
    assert len(image.warnings) == 1 and "T1c (a T1c) was resampled to the grid of FLAIR (a FLAIR)" in image.warnings[0]
    np.testing.assert_allclose(array[1, :, :, 1:], VOXELS[:, :, 1:] - 0.0, atol=0.51)


def test_a_registration_above_a_volume_is_applied_relative_to_the_source_volume(scene, flair):
    """T1c was scanned 0.5 mm (one voxel) farther to the right and registered by a transform."""
    moved = grid_matrix(origin=(-12.0, 20.25, 33.0))
    t1c = add_volume(scene, VOXELS + 100, moved, name="a T1c")
    registration = np.eye(4)
    registration[0, 3] = -0.5
    t1c.SetAndObserveTransformNodeID(add_transform(scene, registration).GetID())
    setChannelNode(flair, "T1c", t1c)
    image = SceneImage()
    np.testing.assert_array_equal(image.read(flair, BOTH).array[1], VOXELS + 100)
    assert image.warnings == []
    both = add_transform(scene, np.diag([1.0, 1.0, -1.0, 1.0]))
    flair.SetAndObserveTransformNodeID(both.GetID())
    t1c.GetParentTransformNode().SetAndObserveTransformNodeID(both.GetID())
    np.testing.assert_array_equal(image.read(flair, BOTH).array[1], VOXELS + 100)


def test_a_bent_volume_is_refused_with_what_to_do(scene, flair, t1c):
    setChannelNode(flair, "T1c", t1c)
    t1c.SetAndObserveTransformNodeID(add_nonlinear_transform(scene).GetID())
    image = SceneImage()
    for _attempt in range(2):
        with pytest.raises(InputError, match="Harden"):
            image.read(flair, BOTH)
    assert imageKey(flair, BOTH) is None


def test_the_image_is_read_once_and_again_after_each_kind_of_change(scene, flair, t1c):
    import slicer

    setChannelNode(flair, "T1c", t1c)
    image = SceneImage()
    changes = (
        lambda: slicer.util.updateVolumeFromArray(t1c, VOXELS + 7),
        lambda: slicer.util.updateVolumeFromArray(flair, VOXELS + 8),
        lambda: t1c.SetIJKToRASMatrix(matrixFromArray(grid_matrix(origin=(-12.0, 20.25, 33.0)))),
        lambda: t1c.SetAndObserveTransformNodeID(add_transform(scene, np.diag([1.0, 1.01, 1.0, 1.0])).GetID()),
        lambda: setChannelNode(flair, "T1c", add_volume(scene, VOXELS, name="another")),
    )
    for change in changes:
        before = image.read(flair, BOTH)
        assert image.read(flair, BOTH) is before
        change()
        assert image.read(flair, BOTH) is not before
    before = image.read(flair, BOTH)
    t1c.SetName("renamed")
    assert image.read(flair, BOTH) is before
    assert image.read(flair, BOTH, others=[t1c]) is not before
    with pytest.raises(InputError, match=r"needs 2 channels \(FLAIR, T1c\), but there are 3"):
        image.read(flair, BOTH, others=[t1c, t1c])


@pytest.mark.parametrize("name", ["T1c", "T1 c:;%|", "Größe/2"])
def test_a_choice_is_saved_with_the_scene_and_stays_with_its_patient(scene, flair, t1c, tmp_path, name):
    other = add_volume(scene, VOXELS, name="another patient's FLAIR")
    setChannelNode(flair, name, t1c)
    assert channelNode(other, name) is None
    for node in (flair, t1c, other):
        node.AddDefaultStorageNode()
    bundle = str(tmp_path / "case.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(0)
    assert scene.ReadFromMRB(bundle)
    loaded = scene.GetFirstNodeByName("a FLAIR")
    assert channelNode(loaded, name) is scene.GetFirstNodeByName("a T1c")
    assert channelNode(scene.GetFirstNodeByName("another patient's FLAIR"), name) is None
    setChannelNode(loaded, name, None)
    assert channelNodes(loaded) == []

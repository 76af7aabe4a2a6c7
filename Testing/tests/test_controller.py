"""From strokes in the scene to written segments and back, with the real worker, the real editing logic, without Qt."""

import numpy as np
from scipy import ndimage

from InteractiveRefineLib.stroke_book import Kind
from Testing.tests.controller_examples import LIVER, SPLEEN, small_settings

pytest_plugins = ["Testing.tests.controller_examples"]


def test_the_network_fills_an_empty_segmentation_in_one_undoable_step(desk):
    desk.segment()

    assert desk.names() == ["liver", "liver tumor", "right kidney", "left kidney", "spleen", "vessels"]
    assert desk.states == ["running", "preview", "idle"]
    assert (desk.mask("liver") & (desk.truth.labels == LIVER)).sum() > 500
    assert desk.controller.preview.node is None
    desk.undo()
    assert desk.names() == []


def test_a_round_is_shown_and_written_only_by_apply_and_undone_in_one_step(desk):
    desk.segment()
    before = desk.labels()
    wrong = desk.correct("liver", LIVER)
    spleen = desk.correct("spleen", SPLEEN)

    desk.refine()

    assert desk.errors == []
    assert desk.controller.state.value == "preview"
    assert np.array_equal(desk.labels(), before)
    proposal = desk.controller.proposal
    assert (proposal.after[tuple(wrong.T)] == LIVER).all() and (proposal.after[tuple(spleen.T)] == SPLEEN).all()
    assert desk.controller.preview.node is not None
    losses = [loss for step, total, message, loss in desk.steps if loss is not None]
    assert all(isinstance(loss, float) for loss in losses)
    steps = [step for step, total, message, loss in desk.steps if total == desk.steps[-1][1]]
    assert steps == sorted(steps) and steps[-1] == desk.steps[-1][1]

    report = desk.controller.apply()

    assert np.array_equal(desk.labels(), proposal.after)
    assert report.added[desk.id("liver")] == ((proposal.after == LIVER) & (before != LIVER)).sum()
    assert desk.controller.state.value == "idle" and desk.controller.preview.node is None
    assert not desk.controller.strokes.book.has_open_strokes
    desk.undo()
    assert np.array_equal(desk.labels(), before)
    assert desk.controller.strokes.book.has_open_strokes
    desk.redo()
    assert np.array_equal(desk.labels(), proposal.after)
    assert not desk.controller.strokes.book.has_open_strokes


def test_a_second_round_continues_from_the_preview_and_apply_takes_both(desk):
    desk.segment()
    before = desk.labels()
    first = desk.correct("liver", LIVER)
    desk.refine()
    after_first = desk.controller.proposal.after
    first_added = next(change.added_ml for change in desk.controller.proposal.changes if change.name == "liver")
    background = np.argwhere((after_first == SPLEEN) & (desk.truth.labels == 0))[:6]
    desk.draw(background, None)

    desk.refine()

    proposal = desk.controller.proposal
    assert desk.controller.state.value == "preview"
    assert np.array_equal(proposal.before, before)
    assert (proposal.after[tuple(first.T)] == LIVER).all() and (proposal.after[tuple(background.T)] == 0).all()
    added = [change.added_ml for change in proposal.changes if change.name == "liver"]
    assert sum(added) < first_added / 4  # what the first round added counts as there
    desk.controller.apply()
    assert np.array_equal(desk.labels(), proposal.after)
    desk.undo()
    assert np.array_equal(desk.labels(), before)


def test_discard_leaves_nothing_but_the_strokes(desk):
    desk.segment()
    before, nodes = desk.labels(), None
    desk.correct("liver", LIVER)
    nodes = desk.node_names()
    desk.refine()
    assert desk.node_names() != nodes

    desk.controller.discard()

    assert desk.node_names() == nodes
    assert np.array_equal(desk.labels(), before)
    assert desk.controller.state.value == "idle" and desk.results[-1] is None
    assert desk.controller.strokes.book.has_open_strokes


def test_a_locked_segment_keeps_every_voxel_and_gains_none(desk):
    from InteractiveRefineScene.locks import setLocked

    desk.segment()
    before = desk.labels()
    setLocked(desk.segmentationNode, desk.id("spleen"), True)
    beside = np.argwhere((before == 0) & (desk.truth.labels == SPLEEN))[:6]
    inside = np.argwhere(before == SPLEEN)[:6]
    desk.correct("liver", LIVER)
    desk.draw(np.concatenate([beside, inside]), "liver")
    desk.draw(beside, "spleen")

    desk.refine()
    desk.controller.apply()

    assert desk.errors == []
    assert np.array_equal(desk.labels() == SPLEEN, before == SPLEEN)
    assert not np.array_equal(desk.labels(), before)
    assert any("spleen" in message and "locked" in message for message in desk.messages)


def test_a_structure_that_the_network_does_not_know_grows_from_its_strokes(desk):
    desk.segment()
    desk.segmentation.AddEmptySegment("muscle", "muscle")
    soft = (np.abs(desk.image.array - 40) < 60) & (desk.labels() == 0)
    seed = np.argwhere(ndimage.binary_erosion(soft, iterations=2))[:4]
    desk.draw(seed, "muscle")
    desk.controller.settings = small_settings(threshold=120.0)

    desk.refine()
    desk.controller.apply()

    muscle = desk.mask("muscle")
    assert muscle[tuple(seed.T)].all()
    assert muscle.sum() > 10 * len(seed)


def test_not_this_segment_takes_the_voxels_away(desk):
    desk.segment()
    wrong = np.argwhere(desk.mask("liver") & (desk.truth.labels == 0))[:8]
    desk.draw(wrong, "liver", Kind.NOT)

    desk.refine()
    desk.controller.apply()

    assert not desk.mask("liver")[tuple(wrong.T)].any()


def test_the_editors_mask_holds_at_apply_and_the_user_is_told(desk):
    desk.segment()
    before = desk.labels()
    wrong = desk.correct("liver", LIVER)
    desk.refine()
    desk.editorNode.SetSourceVolumeIntensityMask(True)
    desk.editorNode.SetSourceVolumeIntensityMaskRange(2000, 3000)

    desk.controller.apply()

    assert np.array_equal(desk.labels(), before)
    assert not desk.mask("liver")[tuple(wrong.T)].any()
    assert desk.messages and desk.errors == []


def test_an_existing_segmentation_is_replaced_only_by_apply_and_keeps_what_the_network_does_not_know(desk):
    from InteractiveRefineScene.locks import setLocked

    for name in ("liver", "spleen", "drain"):
        desk.segmentation.AddEmptySegment(name, name)
    drain = np.argwhere(desk.truth.labels == LIVER)[::40]
    corner = np.array([[0, 0, 0], [0, 0, 1]])
    desk.paint(drain, "drain")
    desk.paint(corner, "liver")
    desk.paint(corner + [0, 1, 0], "spleen")
    setLocked(desk.segmentationNode, "spleen", True)
    before = desk.labels()

    desk.controller.predictInitial()
    desk.wait()

    assert desk.controller.state.value == "preview"
    assert np.array_equal(desk.labels(), before)
    desk.controller.apply()
    assert desk.mask("drain")[tuple(drain.T)].all() and desk.mask("drain").sum() == len(drain)
    assert np.array_equal(desk.mask("spleen"), before == 2)
    assert desk.mask("liver").sum() > 500 and not desk.mask("liver")[tuple(corner.T)].any()
    assert "left kidney" in desk.names()
    desk.undo()
    assert np.array_equal(desk.labels(), before) and desk.names() == ["liver", "spleen", "drain"]

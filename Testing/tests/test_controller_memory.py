"""A reloaded scene, a restarted worker and an Undo do not change what the next round answers."""

import numpy as np

from Testing.tests.controller_examples import LIVER, SPLEEN, Desk


def test_a_reloaded_scene_with_a_new_worker_gives_the_answer_that_the_old_one_gives(slicer_scene, tmp_path):
    import slicer

    scene = slicer_scene.scene
    desk = Desk(scene)
    desk.segment()
    by_hand = np.argwhere((desk.labels() == 0) & (desk.truth.labels == LIVER))[::3]
    desk.paint(by_hand, "liver")
    desk.correct("liver", LIVER)
    desk.refine()
    desk.controller.apply()
    desk.paint(np.argwhere((desk.labels() == 0) & (desk.truth.labels == SPLEEN))[::5], "spleen")
    desk.correct("spleen", SPLEEN)
    for node in (desk.volumeNode, desk.segmentationNode):
        node.AddDefaultStorageNode()
    bundle = str(tmp_path / "case.mrb")
    assert scene.WriteToMRB(bundle)
    desk.refine()
    expected = {s.id: desk.controller.proposal.after == s.label for s in desk.controller.proposal.segments}
    called, manual = desk.controller.client.called, desk.controller.client.manual
    desk.controller.cleanup()

    scene.Clear(0)
    assert scene.ReadFromMRB(bundle)
    again = Desk(scene, loaded=True)
    assert len(again.controller.strokes.book.rounds) == 2
    again.refine()

    assert again.errors == []
    found = {s.id: again.controller.proposal.after == s.label for s in again.controller.proposal.segments}
    assert manual.sum() >= len(by_hand)
    assert np.array_equal(again.controller.client.manual, manual)
    assert np.array_equal(again.controller.client.called[1], called[1])
    assert {name: int(mask.sum()) for name, mask in found.items()} == {n: int(m.sum()) for n, m in expected.items()}
    assert all(np.array_equal(found[name], mask) for name, mask in expected.items())
    again.controller.cleanup()
    assert slicer.mrmlScene is scene


def test_after_undo_of_a_round_its_voxels_do_not_count_as_edited_by_hand(slicer_scene):
    desk = Desk(slicer_scene.scene)
    desk.segment()
    desk.correct("liver", LIVER)
    desk.refine()
    desk.controller.apply()
    by_first = desk.controller.client.manual.sum()
    desk.correct("spleen", SPLEEN)
    desk.refine()
    changed = desk.controller.proposal.after != desk.controller.proposal.before
    desk.controller.apply()
    desk.undo()
    desk.correct("spleen", SPLEEN)

    desk.refine()

    assert changed.sum() > 0 and desk.errors == []
    assert desk.controller.client.manual.sum() == by_first
    desk.controller.cleanup()

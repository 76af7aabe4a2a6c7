"""Strokes, mapping and settings survive saving and loading; nothing of a patient survives closing the scene."""

import gc
import weakref

import numpy as np
import pytest
from scene_examples import OBLIQUE, HeadlessEditor, add_segment, add_segmentation, add_volume, mask_of, slicer

from InteractiveRefineLib.resolution import Source
from InteractiveRefineLib.segmentation import Segment
from InteractiveRefineLib.stroke_book import BACKGROUND, Kind, Stroke
from InteractiveRefineScene.class_mapping import classOf, setClass
from InteractiveRefineScene.preview_node import PreviewNode
from InteractiveRefineScene.scene_state import ClosePurge, getReference, getSetting, setReference, setSetting
from InteractiveRefineScene.segments import readSegmentation
from InteractiveRefineScene.stroke_node import StrokeNode
from InteractiveRefineScene.undo_link import UndoLink
from InteractiveRefineScene.volumes import readVolume

SHAPE = (3, 4, 5)
#: A file separates tags by bars.
CLASS_NAME = "liver: left|50%7C"


class Work:
    """A scene in the middle of the work: a round applied, strokes since, a preview, settings."""

    def __init__(self, scene):
        self.scene = scene
        image = np.arange(60, dtype=np.int16).reshape(SHAPE)
        self.volume = add_volume(scene, image, OBLIQUE)
        self.node = add_segmentation(scene, self.volume, {"id_a": mask_of(SHAPE, (0, 0, 0)), "id_b": mask_of(SHAPE)})
        self.node.GetSegmentation().GetSegment("id_a").SetName('Leber; "groß"')
        setClass(self.node, "id_a", CLASS_NAME)
        self.editor = HeadlessEditor(scene, self.volume, self.node)
        self.strokes = StrokeNode.findOrCreate(self.node, self.volume)
        self.link = UndoLink(self.node, self.strokes)
        self.strokes.addStrokes(Stroke(np.array([7, 8]), "id_a"))
        with self.link.applying():
            self.editor.write({(0, 1, 2): "id_a", (0, 1, 3): "id_a"})
            self.strokes.closeRound()
        self.strokes.addStrokes(Stroke(np.array([20]), "id_b", Kind.NOT, Source.POINT))
        self.strokes.addStrokes(Stroke(np.array([30, 31]), BACKGROUND))
        self.strokes.rememberCalled(np.array([7, 8]), [BACKGROUND, "id_b"])
        setSetting(self.editor.node, "Threshold", 12.5)
        setSetting(self.editor.node, "AutoRefine", True)
        setSetting(self.editor.node, "Backbone", "Netze\\Bäuche; neu")
        setReference(self.editor.node, "LastVolume", self.volume)
        self.preview = PreviewNode()
        labels = readSegmentation(self.node, self.volume).labels
        self.preview.show(self.node, self.volume, labels, labels * 0, [Segment("liver", 1, id="id_a")])


@pytest.fixture
def work(slicer_scene):
    return Work(slicer_scene.scene)


def save_bundle(scene, folder):
    """An .mrb as the application writes it, with the storage nodes that its scene has."""
    path = folder / "case.mrb"
    scene.SetRootDirectory(str(folder))
    assert scene.WriteToMRB(str(path))
    return path


def load_bundle(scene, path):
    scene.SetURL("")
    assert scene.ReadFromMRB(str(path))


def save_files(scene, folder):
    """A .mrml with files beside it, as the Save dialog writes them: hidden nodes get no file there."""
    for node in [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]:
        if node.IsA("vtkMRMLVolumeNode") or node.IsA("vtkMRMLSegmentationNode"):
            if node.GetHideFromEditors():
                continue
            storage = node.GetStorageNode() or (node.AddDefaultStorageNode(), node.GetStorageNode())[1]
            storage.SetFileName(str(folder / f"{node.GetID()}.{storage.GetDefaultWriteFileExtension()}"))
            assert storage.WriteData(node)
    path = folder / "case.mrml"
    scene.SetURL(str(path))
    scene.SetRootDirectory(str(folder))
    assert scene.Commit(str(path))
    return path


def load_files(scene, path):
    scene.SetURL(str(path))
    assert scene.Connect()


@pytest.fixture(params=["mrb", "files"])
def reloaded(request, work, tmp_path):
    """The same scene, saved, closed and loaded; nothing of it remains but what was saved."""
    scene = work.scene
    save, load = {"mrb": (save_bundle, load_bundle), "files": (save_files, load_files)}[request.param]
    path = save(scene, tmp_path)
    for releasable in (work.strokes, work.preview, work.link):
        releasable.release()
    work.volume = work.node = work.editor = None
    scene.Clear(1)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    load(scene, path)
    return scene


def node_named(scene, name):
    return scene.GetFirstNodeByName(name)


def test_strokes_survive_with_rounds_kinds_and_what_voxels_were_called(reloaded):
    strokes = StrokeNode.find(node_named(reloaded, "Organs"), node_named(reloaded, "CT"))
    assert [[(s.indices.tolist(), s.target, s.kind, s.source) for s in r] for r in strokes.book.rounds] == [
        [([7, 8], "id_a", Kind.CLASS, Source.STROKE)],
        [
            ([20], "id_b", Kind.NOT, Source.POINT),
            ([30, 31], BACKGROUND, Kind.CLASS, Source.STROKE),
        ],
    ]
    indices, labels = strokes.book.called({"id_a": 5, "id_b": 6}.get)
    assert (indices.tolist(), labels.tolist()) == ([7, 8], [0, 6])


def test_the_overlay_is_shown_again(reloaded):
    volume = node_named(reloaded, "CT")
    strokes = StrokeNode.find(node_named(reloaded, "Organs"), volume)
    labels = readSegmentation(strokes.node, volume, ["class:id_a"]).labels
    assert np.flatnonzero(labels).tolist() == [7, 8]
    assert strokes.node.GetHideFromEditors()
    assert not strokes.node.GetDisplayNode().GetVisibility3D()
    assert reloaded.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2  # the overlay is there once


def test_settings_references_and_the_mapping_survive(reloaded):
    editor_node = reloaded.GetFirstNodeByClass("vtkMRMLSegmentEditorNode")
    assert getSetting(editor_node, "Threshold") == "12.5"
    assert getSetting(editor_node, "AutoRefine") == "1"
    assert getSetting(editor_node, "Backbone") == "Netze\\Bäuche; neu"
    assert getSetting(editor_node, "Never set", "default") == "default"
    assert getReference(editor_node, "LastVolume") is node_named(reloaded, "CT")
    assert classOf(node_named(reloaded, "Organs"), "id_a") == CLASS_NAME


def test_the_segments_are_as_they_were_and_the_preview_is_gone(reloaded):
    found = readSegmentation(node_named(reloaded, "Organs"), node_named(reloaded, "CT"))
    assert np.flatnonzero(found.labels == 1).tolist() == [0, 7, 8]
    assert [s.name for s in found.segments] == ['Leber; "groß"', "id_b"]
    assert node_named(reloaded, "InteractiveRefine preview Organs") is None
    assert node_named(reloaded, "Organs").GetNodeReference("InteractiveRefine.Preview") is None


def test_work_goes_on_after_loading(reloaded):
    volume, node = node_named(reloaded, "CT"), node_named(reloaded, "Organs")
    strokes = StrokeNode.find(node, volume)
    link, editor = UndoLink(node, strokes), HeadlessEditor(reloaded, volume, node)
    with link.applying():
        editor.write({(0, 1, 2): ""})
        strokes.closeRound()
    editor.logic.Undo()
    assert len(editor.voxels("id_a")) == 3
    assert strokes.book.has_open_strokes
    assert [len(r) for r in strokes.book.rounds] == [1, 2]


def test_a_setting_that_is_set_to_what_it_is_changes_nothing(work):
    heard = []
    work.editor.node.AddObserver("ModifiedEvent", lambda *_: heard.append(1))
    setSetting(work.editor.node, "Threshold", 12.5)
    setReference(work.editor.node, "LastVolume", work.volume)
    assert heard == []
    setReference(work.editor.node, "LastVolume", None)
    assert getReference(work.editor.node, "LastVolume") is None


def nodes_of_the_patient(scene):
    nodes = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    return [n.GetName() for n in nodes if n.IsA("vtkMRMLDisplayableNode") and not n.IsA("vtkMRMLAbstractViewNode")]


@pytest.mark.parametrize("clear", [0, 1])
def test_after_closing_the_scene_nothing_of_the_patient_can_be_reached(work, clear):
    scene = work.scene
    purge = ClosePurge(scene)
    for releasable in (work.strokes, work.preview, work.link):
        purge.add(releasable)
    strokes, preview, link = work.strokes, work.preview, work.link
    drawn = weakref.ref(next(iter(strokes.book)))
    pixels = weakref.ref(work.volume.GetImageData())
    work.volume = work.node = work.editor = None
    scene.Clear(clear)
    gc.collect()
    assert nodes_of_the_patient(scene) == []
    assert strokes.book.is_empty
    assert strokes.node is None and preview.node is None
    assert drawn() is None, "the strokes of the last patient are still in memory"
    assert pixels() is None, "the image of the last patient is still in memory"
    held = [
        value
        for thing in (strokes, preview, link)
        for value in vars(thing).values()
        if isinstance(value, slicer.vtkMRMLNode)
    ]
    assert held == []


def test_the_next_patient_starts_without_strokes_even_on_the_same_grid(work):
    purge = ClosePurge(work.scene)
    purge.add(work.strokes)
    purge.add(work.link)
    scene = work.scene
    scene.Clear(0)
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), OBLIQUE)
    node = add_segmentation(scene, volume)
    add_segment(node, "id_a")
    assert StrokeNode.find(node, volume) is None
    assert StrokeNode.findOrCreate(node, volume).book.is_empty
    assert work.strokes.book.is_empty


def test_a_purge_that_was_stopped_does_nothing(work):
    purge = ClosePurge(work.scene)
    purge.add(work.strokes)
    purge.stop()
    work.scene.Clear(0)
    assert not work.strokes.book.is_empty


def test_a_volume_read_before_closing_does_not_change_under_its_reader(work):
    volume = readVolume(work.volume)
    work.scene.Clear(0)
    work.volume = None
    gc.collect()
    assert volume.array[2, 3, 4] == 59  # the array keeps its memory; whoever holds it must drop it (release)

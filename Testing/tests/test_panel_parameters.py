"""The panel without a worker: parameters and their widgets, the table of segments, the choice of the network."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from Testing.tests.panel_examples import ROOT, PanelDesk

UI = ROOT / "InteractiveRefine" / "Resources" / "UI" / "InteractiveRefinePanel.ui"

#: Parameter, what the user does, what is stored, another stored text, what is shown for it.
TO_AND_FRO = [
    ("InputMode", lambda u: u.boxButton.click(), "Box", "Stroke", lambda u: u.strokeButton.checked),
    (
        "MarkAs",
        lambda u: u.notSegmentButton.click(),
        "NotSegment",
        "Background",
        lambda u: u.backgroundButton.checked,
    ),
    ("BrushDiameterMm", lambda u: u.brushSlider.setValue(7.5), "7.5", "2.5", lambda u: u.brushSlider.value == 2.5),
    ("BoxDepthMm", lambda u: u.boxDepthSpinBox.setValue(12.5), "12.5", "3", lambda u: u.boxDepthSpinBox.value == 3),
    (
        "Grow",
        lambda u: u.growComboBox.setCurrentIndex(2),
        "none",
        "all",
        lambda u: u.growComboBox.currentIndex == 1,
    ),
    ("ShowGrown", lambda u: u.showGrownCheckBox.click(), "0", "1", lambda u: u.showGrownCheckBox.checked),
    (
        "ThresholdAutomatic",
        lambda u: u.thresholdAutomaticCheckBox.click(),
        "0",
        "1",
        lambda u: not u.thresholdSlider.enabled,
    ),
    (
        "Threshold",
        lambda u: u.thresholdSlider.setValue(31.5),
        "31.5",
        "12.0",
        lambda u: u.thresholdSlider.value == 12.0,
    ),
    (
        "MaxDistanceMm",
        lambda u: u.maxDistanceSlider.setValue(45),
        "45.0",
        "30",
        lambda u: u.maxDistanceSlider.value == 30,
    ),
    ("AutoRefine", lambda u: u.autoRefineCheckBox.click(), "1", "0", lambda u: not u.autoRefineCheckBox.checked),
    (
        "AutoRefineDelayS",
        lambda u: u.delaySpinBox.setValue(3.0),
        "3.0",
        "0.5",
        lambda u: u.delaySpinBox.value == 0.5,
    ),
    (
        "PreviewOpacity",
        lambda u: u.opacitySlider.setValue(0.25),
        "0.25",
        "0.9",
        lambda u: u.opacitySlider.value == 0.9,
    ),
    (
        "ShowChanges",
        lambda u: u.showChangesCheckBox.setChecked(False),
        "0",
        "1",
        lambda u: u.showChangesCheckBox.checked,
    ),
    (
        "Reach",
        lambda u: u.reachComboBox.setCurrentIndex(1),
        "local",
        "whole",
        lambda u: u.reachComboBox.currentIndex == 2,
    ),
    (
        "Update",
        lambda u: u.updateComboBox.setCurrentIndex(2),
        "paper",
        "cross-entropy",
        lambda u: u.updateComboBox.currentIndex == 1,
    ),
    ("Layers", lambda u: u.layersSpinBox.setValue(4), "4", "2", lambda u: u.layersSpinBox.value == 2),
    ("Steps", lambda u: u.stepsSpinBox.setValue(33), "33", "0", lambda u: u.stepsSpinBox.value == 0),
    (
        "LearningRate",
        lambda u: u.learningRateSpinBox.setValue(0.00125),
        "0.00125",
        "0.5",
        lambda u: u.learningRateSpinBox.value == 0.5,
    ),
    (
        "Device",
        lambda u: u.deviceComboBox.setCurrentText("cuda:1"),
        "cuda:1",
        "cpu",
        lambda u: u.deviceComboBox.currentText == "cpu",
    ),
]


@pytest.fixture
def desk(editor):
    return PanelDesk(editor)


@pytest.mark.parametrize("name, act, stored, other, shows", TO_AND_FRO, ids=[case[0] for case in TO_AND_FRO])
def test_what_the_user_sets_is_stored_with_the_scene_and_what_is_stored_is_shown(desk, name, act, stored, other, shows):
    act(desk.ui)
    assert desk.stored(name) == stored

    desk.editor.node.SetAttribute(f"InteractiveRefine.{name}", other)
    desk.effect.updateGUIFromMRML()

    assert shows(desk.ui)
    assert desk.stored(name) == other


def test_every_parameter_has_such_a_case_or_another_test():
    from InteractiveRefineEffect import parameters

    assert {case[0] for case in TO_AND_FRO} == set(parameters.DEFAULTS) - {parameters.BACKBONE}


def test_the_settings_of_a_round_are_those_that_are_shown(desk):
    from InteractiveRefineLib.settings import RefineSettings

    assert desk.controller.settings == RefineSettings()
    ui = desk.ui
    ui.thresholdAutomaticCheckBox.click()
    ui.thresholdSlider.setValue(42.0)
    ui.maxDistanceSlider.setValue(35)
    ui.growComboBox.setCurrentIndex(1)
    ui.reachComboBox.setCurrentIndex(2)
    ui.updateComboBox.setCurrentIndex(1)
    ui.layersSpinBox.setValue(3)
    ui.stepsSpinBox.setValue(12)
    ui.learningRateSpinBox.setValue(0.25)
    ui.deviceComboBox.setCurrentText("cpu")

    assert desk.controller.settings == RefineSettings(
        update="cross-entropy", layers=3, steps=12, learning_rate=0.25, reach="whole", grow="all", threshold=42.0,
        max_distance_mm=35.0, device="cpu",
    )  # fmt: skip


def test_values_of_another_version_are_told_and_harm_nothing(desk):
    desk.editor.node.SetAttribute("InteractiveRefine.Reach", "everywhere")
    desk.editor.node.SetAttribute("InteractiveRefine.Layers", "many")

    desk.effect.updateGUIFromMRML()

    assert "reach must be one of" in desk.ui.statusLabel.text
    assert desk.ui.reachComboBox.currentIndex == 0 and desk.ui.layersSpinBox.value == 0


def test_the_threshold_reaches_as_far_as_the_image_goes(desk):
    low, high = desk.editor.volumeNode.GetImageData().GetScalarRange()
    assert desk.ui.thresholdSlider.maximum == pytest.approx((high - low) / 10, abs=0.1)


def table_of(desk):
    """The table as texts: class, segment, and whether it is locked, None where there is nothing to lock."""
    desk.editor.process_events()  # what segments do is shown soon, not at once
    table, view = desk.ui.classTable, desk.panel.network.table
    return [
        (
            table.item(row, 0).text(),
            view.segmentBox(row).currentText if view.segmentBox(row) else table.item(row, 1).text(),
            view.lockBox(row).checked if table.cellWidget(row, 2) else None,
        )
        for row in range(table.rowCount)
    ]


def choose_segment(desk, className, text):
    """Choose in the table what becomes of a class."""
    row = [entry[0] for entry in table_of(desk)].index(className)
    box = desk.panel.network.table.segmentBox(row)
    assert box.findText(text) >= 0
    box.setCurrentIndex(box.findText(text))


REST = [(name, "own segment", None) for name in ("liver tumor", "right kidney", "left kidney", "vessels")]


def test_the_table_shows_what_becomes_of_each_class_and_the_structures_that_are_none(desk):
    assert table_of(desk) == [("liver", "liver", False), ("spleen", "spleen", False), *REST]

    desk.editor.segmentationNode.GetSegmentation().AddEmptySegment("rib", "rib")

    assert table_of(desk) == [
        ("liver", "liver", False), ("spleen", "spleen", False), ("new structure", "rib", False), *REST,
    ]  # fmt: skip
    choose_segment(desk, "spleen", "rib")
    from InteractiveRefineScene.class_mapping import mappingOf

    assert mappingOf(desk.editor.segmentationNode, desk.controller.classes) == {"liver": "liver", "rib": "spleen"}
    assert table_of(desk)[:3] == [
        ("liver", "liver", False), ("new structure", "spleen", False), ("spleen", "rib", False),
    ]  # fmt: skip


def test_classes_are_merged_by_choosing_the_same_segment_twice_and_ignored_by_a_word(desk):
    from InteractiveRefineScene.class_choice import classMapOf

    choose_segment(desk, "liver tumor", "liver")
    choose_segment(desk, "vessels", "ignored")

    assert table_of(desk) == [
        ("liver", "liver", False), ("liver tumor", "liver", False), ("spleen", "spleen", False),
        ("right kidney", "own segment", None), ("left kidney", "own segment", None), ("vessels", "ignored", None),
    ]  # fmt: skip
    node = desk.editor.segmentationNode
    assert classMapOf(node, desk.controller.classes) == {"liver": ["liver", "liver tumor"], "ignore": ["vessels"]}
    desk.panel.network.table.lockBox(1).click()
    assert [locked for _class, _segment, locked in table_of(desk)] == [True, True, False, None, None, None]
    choose_segment(desk, "liver", "own segment")
    assert table_of(desk)[0] == ("liver tumor", "liver", True) and ("liver", "own segment", None) in table_of(desk)
    choose_segment(desk, "vessels", "own segment")
    assert classMapOf(node, desk.controller.classes) == {}


def test_what_is_only_proposed_is_shown_in_italics_until_it_is_accepted(desk):
    def italics():
        return [desk.panel.network.table.segmentBox(row).font.italic() for row in range(3)]

    assert italics() == [True, True, False]
    assert desk.panel.network.table.segmentBox(0).toolTip.startswith("Proposed because of the segment's name")
    choose_segment(desk, "vessels", "ignored")  # with the others before one's eyes
    assert italics() == [False, False, False]


def test_a_lock_is_a_tag_of_the_segment_and_is_shown_again(desk):
    from InteractiveRefineScene.locks import lockedSegments, setLocked

    desk.panel.network.table.lockBox(1).click()
    assert lockedSegments(desk.editor.segmentationNode) == ["spleen"]

    setLocked(desk.editor.segmentationNode, "spleen", False)
    setLocked(desk.editor.segmentationNode, "liver", True)

    assert [locked for _class, _segment, locked in table_of(desk)[:2]] == [True, False]


def test_what_cannot_be_done_says_why_in_its_tooltip(desk):
    ui = desk.ui
    assert not ui.refineButton.enabled
    assert ui.refineButton.toolTip == "There are no strokes yet. Draw some in the slice views, then refine."
    assert ui.predictButton.enabled
    assert not ui.cancelButton.enabled and not ui.previewGroupBox.enabled

    desk.draw("liver")

    assert ui.refineButton.enabled and ui.refineButton.toolTip.startswith("Correct the segmentation")
    desk.editor.widget.setSourceVolumeNode(None)
    assert not ui.refineButton.enabled and not ui.predictButton.enabled
    assert ui.predictButton.toolTip == "No volume is selected. Select a source volume."


def test_without_a_network_there_is_nothing_to_segment_with(desk):
    desk.ui.backboneComboBox.setCurrentIndex(desk.ui.backboneComboBox.count - 1)
    assert desk.ui.backboneComboBox.currentText == "No network: learn from strokes only"
    assert not desk.ui.predictButton.enabled
    assert desk.ui.predictButton.toolTip.startswith("Without a network nothing is found before you draw.")

    desk.draw("liver")
    assert desk.ui.refineButton.enabled and not desk.ui.predictButton.enabled

    desk.ui.backboneComboBox.setCurrentIndex(0)
    assert desk.ui.predictButton.enabled


def test_a_box_has_a_depth_and_a_stroke_has_a_brush(desk):
    ui = desk.ui
    assert ui.boxDepthSpinBox.isHidden() and ui.boxDepthLabel.isHidden() and not ui.brushSlider.isHidden()
    assert ui.boxDepthSpinBox.text == "this slice only"

    ui.boxButton.click()

    assert not ui.boxDepthSpinBox.isHidden() and not ui.boxDepthLabel.isHidden()
    assert ui.brushSlider.isHidden() and ui.brushLabel.isHidden()
    ui.boxDepthSpinBox.setValue(24.0)
    desk.editor.select("liver")
    desk.editor.center_views((0.0, 0.0, 0.0))
    desk.editor.drag("Red", [(-40.0, -40.0, 0.0), (0.0, 0.0, 0.0), (40.0, 40.0, 0.0)])
    box = desk.controller.strokes.book.rounds[0][0]
    slices = sorted(set(box.indices // (40 * 52)))
    assert slices == [11, 12]  # the middle half of 24 mm: those at -4 and 4 mm


def test_the_shortcuts_stand_in_the_buttons_texts(desk):
    import qt

    for button, words, keys in (
        (desk.ui.refineButton, "Refine", "Ctrl+R"),
        (desk.ui.applyButton, "Apply", "Ctrl+Return"),
    ):
        shown = qt.QKeySequence(keys).toString(qt.QKeySequence.NativeText)
        assert button.text == f"{words} ({shown})"
        assert button.shortcut == qt.QKeySequence(keys)


def a_network(folder, *names, **more):
    """A folder with a backbone.json that names classes."""
    folder.mkdir()
    described = {
        "format": 1,
        "name": "Two organs",
        "classes": [{"name": name} for name in ("background", *names)],
        **more,
    }
    (folder / "backbone.json").write_text(json.dumps(described))
    return str(folder)


def browse(desk, monkeypatch, folder):
    """Choose a folder with the button."""
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *arguments: str(folder))
    desk.ui.browseButton.click()


def test_a_folder_is_chosen_with_the_button_and_stays_known_on_this_computer(desk, tmp_path, monkeypatch):
    folder = a_network(tmp_path / "organs", "spleen", "pancreas", model={"exported": "model.pt2"})
    browse(desk, monkeypatch, folder)

    assert desk.stored("Backbone") == folder and desk.controller.backbone == folder
    assert desk.ui.backboneComboBox.currentText == "Two organs (organs)"
    assert desk.ui.classesLabel.text == "Knows spleen, pancreas."
    assert table_of(desk) == [
        ("new structure", "liver", False), ("spleen", "spleen", False), ("pancreas", "own segment", None),
    ]  # fmt: skip
    assert desk.ui.predictButton.enabled and desk.ui.trustFrame.isHidden()
    desk.ui.backboneComboBox.setCurrentIndex(0)
    assert desk.controller.backbone == "" and desk.stored("Backbone") == ""
    assert "right kidney" in desk.ui.classesLabel.text


def test_no_network_at_all_is_a_choice_in_plain_words(desk):
    ui = desk.ui
    assert [ui.backboneComboBox.itemText(i) for i in range(ui.backboneComboBox.count)] == [
        "Phantom abdomen (built in)",
        "No network: learn from strokes only",
    ]

    ui.backboneComboBox.setCurrentIndex(1)

    assert desk.controller.backbone == "none" == desk.stored("Backbone")
    assert ui.classesLabel.text.startswith("It knows no structure: add segments, draw strokes in each of them")
    assert {row[0] for row in table_of(desk)} == {"new structure"}
    assert ui.trustFrame.isHidden()
    desk.draw("liver")
    assert ui.refineButton.enabled


def test_before_a_program_runs_the_user_reads_what_it_is_and_is_asked(desk, tmp_path, monkeypatch):
    folder = a_network(tmp_path / "organs", "spleen", license="CC BY 4.0")
    browse(desk, monkeypatch, folder)
    ui = desk.ui

    assert not ui.trustFrame.isHidden() and not ui.predictButton.enabled
    assert ui.trustLabel.text == (
        f"{folder} was never chosen on this computer. model.ts is a program (TorchScript). License: CC BY 4.0. "
        "A program can do whatever you can: use it only if you trust where it comes from."
    )
    assert ui.classesLabel.text == "Knows spleen."
    desk.panel.onPredict()
    assert not desk.controller.client.alive

    ui.trustButton.click()

    assert ui.trustFrame.isHidden() and ui.predictButton.enabled
    assert ui.classesLabel.text == "Knows spleen. License: CC BY 4.0."
    ui.backboneComboBox.setCurrentIndex(0)
    ui.backboneComboBox.setCurrentIndex(2)
    assert desk.controller.backbone == folder and ui.trustFrame.isHidden()


def test_a_folder_that_only_the_scene_names_is_not_run(desk, tmp_path):
    folder = a_network(tmp_path / "stranger", "spleen", model={"exported": "model.pt2"})
    desk.draw("liver")
    desk.editor.node.SetAttribute("InteractiveRefine.Backbone", folder)

    desk.effect.updateGUIFromMRML()

    assert desk.ui.backboneComboBox.currentText == "Two organs (stranger)"
    assert not desk.ui.refineButton.enabled and not desk.ui.predictButton.enabled
    assert "never chosen on this computer" in desk.ui.predictButton.toolTip and not desk.ui.trustFrame.isHidden()
    desk.panel.onPredict()
    assert not desk.controller.client.alive and "never chosen" in desk.ui.statusLabel.text


def test_a_network_of_another_kind_is_told_by_the_worker_before_it_is_loaded(desk, tmp_path, monkeypatch):
    from dataclasses import replace

    from InteractiveRefineLib.segmentation import Segment
    from InteractiveRefineLib.worker.request import BackboneInfo

    (tmp_path / "dataset.json").write_text("{}")
    asked = []
    monkeypatch.setattr(desk.controller, "learnBackbone", lambda: asked.append(desk.controller.backbone))
    browse(desk, monkeypatch, tmp_path)
    ui = desk.ui
    assert asked == [str(tmp_path)] and not ui.predictButton.enabled
    assert ui.classesLabel.text == "The worker tells what it knows once it is asked."
    organs = tuple(Segment(f"organ {n}", n) for n in range(1, 105))
    info = BackboneInfo(
        str(tmp_path), "Organs", organs, ("FLAIR", "T1c"), 3, (1.5, 1.5, 2.0), "Apache 2.0", kind="nnU-Net v2 model",
        code=("trainer.py is a program (Python).",), notes=("fold 0 of 5",),
    )  # fmt: skip

    desk.controller._talk._onBackbone(info)

    assert ui.classesLabel.text == ("nnU-Net v2 model. Knows 104 classes. FLAIR: the source volume.")
    assert "fold 0 of 5" in ui.classesLabel.toolTip and "organ 104" in ui.classesLabel.toolTip
    assert "trainer.py is a program (Python). License: Apache 2.0." in ui.trustLabel.text
    assert not ui.trustFrame.isHidden()
    desk.controller._talk._onBackbone(replace(info, code=()))
    assert not ui.trustFrame.isHidden(), "the user was asked; only an answer settles it"


def test_weights_alone_need_no_question(desk, tmp_path, monkeypatch):
    from InteractiveRefineLib.segmentation import Segment
    from InteractiveRefineLib.worker.request import BackboneInfo

    (tmp_path / "dataset.json").write_text("{}")
    monkeypatch.setattr(desk.controller, "learnBackbone", lambda: None)
    browse(desk, monkeypatch, tmp_path)
    assert not desk.ui.trustFrame.isHidden()
    desk.controller._talk._onBackbone(BackboneInfo(str(tmp_path), "Organs", (Segment("liver", 1),), ("CT",), 3))
    assert desk.ui.trustFrame.isHidden() and desk.ui.predictButton.enabled


def test_a_folder_without_a_network_says_what_is_missing(desk, tmp_path, monkeypatch):
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *arguments: str(tmp_path))
    desk.ui.browseButton.click()
    assert desk.ui.classesLabel.text == f"{tmp_path} has no readable backbone.json."
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *arguments: "")
    desk.ui.browseButton.click()
    assert desk.controller.backbone == str(tmp_path)


def test_the_workers_command_is_kept_on_the_computer_and_not_in_the_scene(desk):
    from InteractiveRefineEffect.backbone_selector import workerCommand

    desk.ui.workerCommandLineEdit.setText(" ssh gpu-box interactive-refine worker ")
    desk.ui.workerCommandLineEdit.editingFinished.emit()

    assert workerCommand() == "ssh gpu-box interactive-refine worker"
    names = list(desk.editor.node.GetAttributeNames())
    assert not any("ssh" in (desk.editor.node.GetAttribute(name) or "") for name in names)
    desk.ui.workerCommandLineEdit.setText("")
    desk.ui.workerCommandLineEdit.editingFinished.emit()
    assert workerCommand() == ""


def test_without_torch_refine_asks_and_strokes_stay(desk, monkeypatch):
    from InteractiveRefineScene import dependencies

    asked = []
    monkeypatch.setattr(dependencies, "torchSeemsInstalled", lambda: False)
    monkeypatch.setattr(dependencies, "offerTorch", lambda: asked.append(True))
    desk.draw("liver")

    desk.ui.refineButton.click()

    assert asked == [True] and not desk.controller.client.alive
    assert desk.ui.statusLabel.text == "Without PyTorch nothing can be computed; strokes and growing work."
    assert not desk.controller.strokes.book.is_empty and desk.controller.state.value == "idle"


def test_auto_refine_waits_for_the_last_stroke_and_is_off_by_default(desk, monkeypatch):
    rounds = []
    monkeypatch.setattr(desk.controller, "refine", lambda: rounds.append(len(desk.controller.strokes.book.rounds[0])))
    desk.draw("liver")
    desk.editor.process_events(0.15)
    assert rounds == []
    desk.ui.autoRefineCheckBox.click()
    desk.ui.delaySpinBox.setValue(0.1)

    desk.draw("spleen")
    desk.draw("liver")

    assert rounds == []
    desk.editor.process_events(0.4)
    assert rounds == [3]


def test_every_widget_that_is_touched_has_a_tooltip_and_every_shown_text_is_translatable():
    root = ElementTree.parse(UI)
    for widget in root.iter("widget"):
        if widget.get("class") == "QWidget":
            continue
        names = {entry.get("name"): entry for entry in widget.findall("property")}
        assert "toolTip" in names and names["toolTip"].findtext("string").endswith("."), widget.get("name")
    assert not [text for text in root.iter("string") if text.get("notr")]


def test_every_text_of_the_panels_python_goes_through_the_translation():
    folder = ROOT / "InteractiveRefine" / "InteractiveRefineEffect"
    for name in (
        "panel", "class_table_view", "progress_view", "proposal_view", "backbone_selector", "channel_view",
        "network_view",
    ):  # fmt: skip
        source = (folder / f"{name}.py").read_text()
        shown = r"""(?:\.text|\.toolTip|setToolTip\(|setText\(|showError\(|showMessage\()\s*=?\s*f?"[A-Za-z]"""
        bare = re.findall(shown, source)
        assert bare == [], name


def test_the_panel_lets_go_of_everything(desk):
    controller, ui = desk.controller, desk.ui
    desk.effect.cleanup()

    ui.predictButton.enabled = True
    ui.predictButton.click()
    ui.brushSlider.setValue(9.0)

    assert not controller.client.alive and desk.stored("BrushDiameterMm") != "9.0"
    assert desk.effect.panel is None


def test_what_grows_is_said_and_the_automatic_threshold_is_shown_but_not_stored(desk):
    desk.editor.segmentationNode.GetSegmentation().AddEmptySegment("rib", "rib")
    desk.draw("liver")
    choose_segment(desk, "liver", "own segment")  # that of the liver is a structure that the network does not know

    desk.editor.wait_until(lambda: desk.effect.growingPreview.threshold is not None, 20)

    assert re.search(r"liver grows by [\d.]+ ml", desk.ui.growingLabel.text)
    assert not desk.ui.growingLabel.isHidden()
    assert desk.ui.thresholdSlider.value == pytest.approx(desk.effect.growingPreview.threshold, abs=0.1)
    assert desk.stored("Threshold") in (None, "20", "20.0")

"""The module as Slicer starts it: registration, panel without a main window, scene events, logic without a window."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE_FILE = ROOT / "InteractiveRefine" / "InteractiveRefine.py"


@pytest.fixture
def module(slicer_app):
    """The module, registered; the application has started."""
    module = slicer_app.register(MODULE_FILE)
    slicer_app.start()
    return module


@pytest.fixture
def panel(module):
    """The module's Python widget, entered."""
    representation = module.widgetRepresentation()
    representation.enter()
    return representation.self()


def effect_names():
    import slicer

    return [effect.name for effect in slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()]


def test_effect_and_sample_are_registered_once_the_application_has_started(slicer_app):
    slicer_app.register(MODULE_FILE)
    assert effect_names() == []
    assert slicer_app.core.sample_data == []
    slicer_app.start()
    assert effect_names() == ["InteractiveRefine"]
    assert [source["sampleName"] for source in slicer_app.core.sample_data] == ["InteractiveRefinePhantom"]


def test_added_while_the_application_runs_the_module_registers_at_once(slicer_app):
    slicer_app.start()
    slicer_app.register(MODULE_FILE)
    assert effect_names() == ["InteractiveRefine"]


def test_a_reload_leaves_one_effect(slicer_app):
    module = slicer_app.register(MODULE_FILE)
    slicer_app.start()
    module.self().onStartupCompleted()
    assert effect_names() == ["InteractiveRefine"]


def test_the_effects_package_is_loaded_before_slicer_looks_for_its_class(slicer_app):
    sys.modules.pop("InteractiveRefineEffect", None)
    slicer_app.register(MODULE_FILE)
    slicer_app.start()
    package = sys.modules["InteractiveRefineEffect"]
    assert Path(package.__file__).name == "__init__.py"
    assert package.SegmentEditorEffect.__module__ == "InteractiveRefineEffect.SegmentEditorEffect"


def test_loading_the_module_starts_no_process_and_imports_no_torch(slicer_app, monkeypatch):
    import subprocess

    monkeypatch.setattr(subprocess, "Popen", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    slicer_app.register(MODULE_FILE).widgetRepresentation()
    slicer_app.start()


def test_it_says_what_it_is(module):
    assert module.title == "Interactive Refine"
    assert list(module.categories) == ["Segmentation"]
    assert list(module.dependencies) == ["Segmentations"]
    assert "stroke" in module.helpText and "MICCAI 2021" in module.acknowledgementText


def test_the_panel_opens_without_a_main_window(panel):
    import slicer

    assert slicer.util.mainWindow() is None
    assert panel.editor.mrmlSegmentEditorNode() is panel.editorNode
    assert panel.editorNode.GetSingletonTag() == "InteractiveRefine"


def test_the_panels_editor_shows_the_effect_also_when_it_is_registered_later(slicer_app):
    representation = slicer_app.register(MODULE_FILE).widgetRepresentation()
    editor = representation.self().editor
    assert "InteractiveRefine" not in editor.availableEffectNames()
    slicer_app.start()
    assert "InteractiveRefine" in editor.availableEffectNames()


def test_leaving_the_module_gives_the_mouse_back(module, panel):
    panel.editor.setSegmentationNode(_add("vtkMRMLSegmentationNode"))
    panel.editor.setActiveEffectByName("InteractiveRefine")
    assert panel.editor.activeEffect() is not None
    module.widgetRepresentation().exit()
    assert panel.editor.activeEffect() is None


def test_closing_the_scene_takes_everything_from_the_panel(panel, tmp_path, monkeypatch):
    import slicer

    monkeypatch.setattr(type(slicer.app), "cachePath", str(tmp_path))
    untouched = panel.ui.firstCaseLabel.text
    panel.ui.loadExampleButton.click()
    assert panel.editor.activeEffect() is not None and panel.ui.segmentExampleButton.enabled
    assert panel.ui.firstCaseLabel.text != untouched
    slicer.mrmlScene.Clear(0)
    assert panel.editor.segmentationNode() is None
    assert panel.editor.sourceVolumeNode() is None
    assert panel.editor.activeEffect() is None
    assert not panel.ui.segmentExampleButton.enabled
    assert panel.ui.firstCaseLabel.text == untouched
    assert panel.editor.mrmlSegmentEditorNode() is not None, "the editor cannot be used after closing"


@pytest.fixture
def loaded(panel, tmp_path, monkeypatch):
    """The module's panel after step 1 of the first case."""
    import slicer

    monkeypatch.setattr(type(slicer.app), "cachePath", str(tmp_path))
    panel.ui.loadExampleButton.click()
    return panel


NOT_STARTED = "The network did not start; the reason is shown below. When that is settled, press 2 again."


def test_the_first_case_says_that_the_network_did_not_start_when_the_user_declines_pytorch(loaded, monkeypatch):
    from InteractiveRefineScene import dependencies

    monkeypatch.setattr(dependencies, "torchSeemsInstalled", lambda: False)
    monkeypatch.setattr(dependencies, "offerTorch", lambda: False)
    ui = loaded.ui
    ui.segmentExampleButton.click()
    assert ui.firstCaseLabel.text == NOT_STARTED
    assert ui.segmentExampleButton.enabled and not ui.refineExampleButton.enabled
    below = loaded.editor.activeEffect().self().panel.ui.statusLabel.text
    assert below == "Without PyTorch nothing can be computed; strokes and growing work."


def test_the_first_case_says_that_the_network_did_not_start_when_there_is_no_image(loaded):
    ui = loaded.ui
    loaded.logic.getParameterNode().volume.SetAndObserveImageData(None)
    ui.segmentExampleButton.click()
    assert ui.firstCaseLabel.text == NOT_STARTED
    assert not ui.refineExampleButton.enabled


def test_the_first_case_says_that_the_network_works_once_it_does(loaded, monkeypatch):
    from InteractiveRefineScene import dependencies

    monkeypatch.setattr(dependencies, "torchSeemsInstalled", lambda: True)
    ui = loaded.ui
    ui.segmentExampleButton.click()
    assert ui.firstCaseLabel.text.startswith("The network works in another process; its progress is shown below.")
    assert ui.segmentExampleButton.enabled and ui.refineExampleButton.enabled
    controller = loaded.editor.activeEffect().self().controller
    assert controller.state.value == "running"
    controller.restartWorker()


def test_the_first_case_says_that_refine_did_not_start_and_keeps_the_stroke(loaded, monkeypatch):
    import numpy as np

    from InteractiveRefineLib.stroke_book import Stroke
    from InteractiveRefineScene import dependencies, example_strokes

    monkeypatch.setattr(dependencies, "torchSeemsInstalled", lambda: False)
    monkeypatch.setattr(dependencies, "offerTorch", lambda: False)
    segmentation = loaded.logic.getParameterNode().segmentation.GetSegmentation()
    segmentation.AddEmptySegment("liver", "liver")
    drawn = [(Stroke(np.array([5, 6]), "liver"), (0.0, 0.0, 0.0))]
    monkeypatch.setattr(example_strokes, "exampleStrokes", lambda *arguments: drawn)
    loaded.firstCase.update()
    loaded.ui.refineExampleButton.click()
    assert loaded.ui.firstCaseLabel.text == (
        "A stroke was drawn for you where the liver was missed most, but Refine did not start; the reason is shown "
        "below. When that is settled, press Refine there."
    )
    assert len(loaded.editor.activeEffect().self().controller.strokes.book.rounds[0]) == 1


def test_a_volume_without_an_image_is_no_reason_to_fail(panel):
    panel.editor.setSegmentationNode(_add("vtkMRMLSegmentationNode"))
    panel.editor.setSourceVolumeNode(_add("vtkMRMLScalarVolumeNode"))
    panel.editor.setActiveEffectByName("InteractiveRefine")
    assert not panel.editor.activeEffect().self().panel.ui.refineButton.enabled


def test_cleanup_stops_watching_the_scene_and_the_factory(module, panel):
    import slicer

    module.unload()
    slicer.mrmlScene.Clear(0)
    assert panel.editorNode is None
    assert panel.Observations == []


def test_a_panel_without_a_parent_sets_itself_up(module):
    widget = sys.modules["InteractiveRefine"].InteractiveRefineWidget()
    assert widget.logic is not None and widget.editor is not None
    widget.cleanup()


def test_the_logic_is_reached_as_the_readme_says(module):
    import slicer

    logic = slicer.modules.interactiverefine.widgetRepresentation().self().logic
    assert type(logic).__name__ == "InteractiveRefineLogic"
    import InteractiveRefineLib

    assert logic.libraryVersion() == InteractiveRefineLib.__version__


def test_the_parameter_node_keeps_its_values_in_the_scene(module):
    logic = sys.modules["InteractiveRefine"].InteractiveRefineLogic()
    volume = _add("vtkMRMLScalarVolumeNode")
    parameters = logic.getParameterNode()
    assert (parameters.volume, parameters.segmentation, parameters.backbone) == (None, None, "")
    parameters.volume, parameters.backbone = volume, "networks/abdomen"
    again = sys.modules["InteractiveRefine"].InteractiveRefineLogic().getParameterNode()
    assert again.volume is volume
    assert again.backbone == "networks/abdomen"


def test_a_folder_of_scans_is_refined_from_the_console(module, tmp_path):
    pytest.importorskip("torch")
    from InteractiveRefineLib.segmentation_io import read_segmentation
    from Testing.tests.cli_examples import strokes, write_backbone, write_labels, write_scan

    case = tmp_path / "scans" / "p001"
    case.mkdir(parents=True)
    write_scan(case / "image.nrrd")
    write_labels(case / "strokes.nrrd", strokes())
    backbone = write_backbone(tmp_path / "backbone")
    logic = sys.modules["InteractiveRefine"].InteractiveRefineLogic()
    logic.refineFolder(tmp_path / "scans", backbone=backbone)
    refined = read_segmentation(tmp_path / "scans-refined" / "p001" / "refined.seg.nrrd")
    assert [s.name for s in refined.segments] == ["liver", "spleen"]
    assert (refined.labels[strokes() == 1] == 1).all() and not refined.labels[strokes() == 255].any()


def _add(kind):
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass(kind)

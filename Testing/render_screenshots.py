"""Renders the pictures in Resources/Screenshots from a real session on the phantom, without Slicer's windows.

    QT_QPA_PLATFORM=offscreen python -m Testing.render_screenshots

Panels are drawn by Qt as they are; the slices are the library's own picture of what was drawn, proposed and changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "Resources" / "Screenshots"
ICONS = ROOT / "InteractiveRefine" / "Resources" / "Icons"
SEED = 20019
#: Organ -> view in which a stroke is drawn for it.
STROKES = {"left kidney": "Red", "right kidney": "Green"}


def render(screenshots: Path, icons: Path) -> list[Path]:
    """Play the story, take the pictures; returns their paths."""
    from InteractiveRefineLib.phantom import make_phantom
    from Testing.slicer_stand_in.bootstrap import CoreSession
    from Testing.slicer_stand_in.editor_driver import Editor
    from Testing.slicer_stand_in.qt_session import QtSession
    from Testing.slicer_story import SlicerStory, start_module, volume_node

    image, truth = make_phantom(SEED, shift="domain")
    core = CoreSession()
    session = QtSession(core)
    module = start_module(session)
    editor = Editor(session)
    try:
        story = SlicerStory(editor, volume_node(image, "Phantom CT"))
        story.press("predictButton", until="idle")
        for name, view in STROKES.items():
            missed = (truth.labels == truth.segment_named(name).label) & ~story.mask(name)
            story.draw_into(name, missed, view, apart=1)
        story.press("refineButton", until="preview")
        pictures = [
            editor.grab(story.effect.panel.widget, screenshots / "panel.png"),
            _slices(screenshots / "slices.png", image, story.controller),
            _thumbnail(icons / "InteractiveRefinePhantom.png", image),
        ]
        editor.close()
        panel = module.widgetRepresentation()
        panel.enter()
        panel.self().ui.loadExampleButton.click()
        # Only our own part: the segment editor below it is Slicer's, and not drawn by Slicer here.
        pictures.append(
            editor.grab(panel.self().ui.firstCaseCollapsibleButton.parentWidget(), screenshots / "first-case.png")
        )
        panel.exit()
        return pictures
    finally:
        editor.close()
        session.close()
        core.close()


def _slices(path: Path, image, controller) -> Path:
    """The slices that change most: before, strokes, after, changes."""
    from InteractiveRefineLib.geometry import box_of
    from InteractiveRefineLib.preview import write_preview
    from InteractiveRefineLib.result import RefinementResult
    from InteractiveRefineLib.segmentation import BACKGROUND_STROKE

    proposal = controller.proposal
    label_of = {segment.id: segment.label for segment in proposal.segments if segment.id}
    strokes = np.zeros(proposal.after.shape, dtype=np.uint16)
    for stroke in controller.strokes.book:
        strokes.reshape(-1)[stroke.indices] = label_of.get(stroke.target, BACKGROUND_STROKE)
    result = RefinementResult(
        labels=proposal.after,
        previous=proposal.before,
        changed_box=box_of(proposal.after != proposal.before),
        changes=list(proposal.changes),
        strokes=strokes,
        grown=strokes,
        violated_strokes=0,
    )
    write_preview(path, image, result, proposal.segments)
    return path


def _thumbnail(path: Path, image) -> Path:
    """The middle slice in a soft-tissue window, for the Sample Data module."""
    from PIL import Image

    array = image.array[image.array.shape[0] // 2]
    gray = np.clip((array + 120) / 360 * 255, 0, 255).astype(np.uint8)
    Image.fromarray(gray).resize((260, 200), Image.Resampling.BICUBIC).save(path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Render everything and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=SCREENSHOTS)
    parser.add_argument("--icons", type=Path, default=ICONS)
    options = parser.parse_args(arguments)
    from PIL import Image

    for path in render(options.output, options.icons):
        Image.open(path).save(path, optimize=True)
        print(f"{path} ({path.stat().st_size // 1024} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The region that would grow from the strokes, shown while the user draws and moves the sliders."""

import logging
import time

import numpy as np
import qt
from slicer.i18n import tr as _

from .parameters import GROW, SHOW_GROWN, THRESHOLD_AUTOMATIC, Parameters

#: The preview waits this long for the slider, or for the next stroke, to come to rest.
_DELAY_MS = 120
#: A preview that takes longer is given up, so that the views never stand still for long.
_LONGEST_S = 1.0


class GrowingPreview:
    """Grows the strokes after a short rest and shows the result in the strokes' overlay.

    A preview that is asked for while another one waits replaces it. All runs in the main thread, on the little part of
    the image that can be reached (see `growing`).

    Args:
        scriptedEffect: gives the parameters.
        controller: callable that gives the `RefineController`, or None while there is none.

    Attributes:
        threshold: T that was used last, in units of the image; None when nothing grew.
        lines: sentences that say what took part, and where growing was stopped.
        onChanged: called without arguments after both changed; None = nobody.
    """

    def __init__(self, scriptedEffect, controller):
        self._effect = scriptedEffect
        self._parameters = Parameters(scriptedEffect)
        self._controller = controller
        self._asked = None  # what the shown preview was made from
        self._shown = None
        self._noise = None
        self._locked = None
        self.threshold = None
        self.lines = []
        self.onChanged = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.connect("timeout()", self.update)

    def schedule(self):
        """Strokes, parameters, classes or locks may have changed: show the preview anew, soon."""
        self._timer.start()

    @property
    def isPending(self):
        """True while a preview waits for its turn."""
        return bool(self._timer.isActive())

    def stop(self):
        """Show nothing and compute nothing, until it is scheduled again."""
        self._timer.stop()
        self._show({}, None, [])
        self._asked, self._noise, self._locked = None, None, None

    def release(self):
        """The effect goes away: let nothing call back."""
        self._timer.stop()
        self._timer.disconnect("timeout()", self.update)
        self._asked, self._shown, self._noise, self._locked, self.onChanged = None, None, None, None, None

    def update(self):
        """Compute and show the preview now."""
        from InteractiveRefineLib.errors import Cancelled, InputError

        self._timer.stop()
        controller = self._controller()
        strokes = controller.strokes if controller else None
        if strokes is None or strokes.node is None or not self._parameters.flag(SHOW_GROWN):
            self._asked = None
            self._show({}, None, [])
            return
        try:
            asked = self._question(controller, strokes)
            if asked == self._asked:
                return  # the selected segment or the brush changed, and nothing that matters here
            self._asked = asked
            grown = self._grow(controller, strokes)
        except Cancelled:
            text = _("The region is too large to be shown while you draw; lower the threshold or the distance.")
            self._show({}, None, [text])
        except InputError as error:
            self._show({}, None, [str(error)])
        except Exception as error:  # a preview must never come between the user and the strokes
            logging.exception("Growing could not be previewed")
            self._show({}, None, [_("Growing cannot be previewed: {error}").format(error=error)])
        else:
            self._show(grown.voxels, grown.threshold, self._sentences(grown, controller, strokes))

    def _question(self, controller, strokes):
        """All that the preview depends on; equal when nothing of it has changed."""
        targets = self._targets(controller)
        locked = self._lockedKey(controller, targets.locked) if targets.locked else None
        names = [
            controller.segmentationNode.GetSegmentation().GetSegment(n).GetName() for n in targets.known + targets.new
        ]
        state, settings = strokes.book.state, self._parameters.settings()
        return strokes, strokes.node, state, settings, targets, names, locked, self._imageName(controller)

    def _grow(self, controller, strokes):
        from .growing import NoiseMemory, growFromStrokes

        volume = self._image(controller)
        self._noise = self._noise or NoiseMemory()
        targets = self._targets(controller)
        started = time.monotonic()
        return growFromStrokes(
            volume.channels,
            strokes.book,
            targets,
            self._parameters.settings(),
            lockedMask=self._lockedMask(controller, targets.locked),
            noise=self._noise,
            imageName=self._imageName(controller),
            shouldCancel=lambda: time.monotonic() - started > _LONGEST_S,
        )

    def _image(self, controller):
        """The image with all channels; while one has no volume yet, the source volume alone."""
        from InteractiveRefineLib.errors import InputError
        from InteractiveRefineScene.volumes import readVolume

        try:
            return controller.image()
        except InputError:
            return readVolume(controller.volumeNode)

    def _imageName(self, controller):
        from InteractiveRefineScene.scene_image import imageKey

        whole = imageKey(controller.volumeNode, controller.channels, controller.otherVolumes)
        return repr(whole or imageKey(controller.volumeNode))

    def _targets(self, controller):
        from InteractiveRefineScene.class_choice import knownSegments
        from InteractiveRefineScene.locks import lockedSegments

        from .growing import Targets

        segmentationNode = controller.segmentationNode
        every = segmentationNode.GetSegmentation().GetSegmentIDs()
        known = knownSegments(segmentationNode, controller.classes)
        return Targets(
            known=tuple(name for name in every if name in known),
            new=tuple(name for name in every if name not in known),
            locked=frozenset(lockedSegments(segmentationNode)),
        )

    def _lockedMask(self, controller, locked):
        """(K, J, I) bool of the locked segments' voxels, read again only when the segmentation has changed."""
        if not locked:
            return None
        from InteractiveRefineScene.segments import readSegmentation

        key = self._lockedKey(controller, locked)
        if self._locked is None or self._locked[0] != key:
            labels = readSegmentation(controller.segmentationNode, controller.volumeNode, sorted(locked)).labels
            self._locked = key, labels > 0
        return self._locked[1]

    def _lockedKey(self, controller, locked):
        """Changes with the voxels of the locked segments."""
        segmentation = controller.segmentationNode.GetSegmentation()
        images = [segmentation.GetSegment(name).GetRepresentation("Binary labelmap") for name in sorted(locked)]
        times = [0 if image is None else image.GetMTime() for image in images]
        return controller.segmentationNode.GetID(), controller.volumeNode.GetID(), locked, times

    def _show(self, voxels, threshold, lines):
        controller = self._controller()
        strokes = controller.strokes if controller else None
        voxels = {target: indices for target, indices in voxels.items() if len(indices)}
        if strokes is not None and strokes.node is not None and not _same((strokes, voxels), self._shown):
            strokes.showGrown(voxels)
        self._shown = None if strokes is None else (strokes, voxels)
        self.threshold, self.lines = threshold, lines
        if self.onChanged is not None:
            self.onChanged()

    def _sentences(self, grown, controller, strokes):
        """What takes part and what it gained, where growing was stopped, and which strokes count for nothing."""
        segmentation = controller.segmentationNode.GetSegmentation()
        milliliters = strokes.book.geometry.voxel_volume_ml
        lines = []
        for target, voxels in grown.voxels.items():
            volume = f"{len(voxels) * milliliters:.1f}"
            lines.append(_("{name} grows by {volume} ml.").format(name=_nameOf(segmentation, target), volume=volume))
        if grown.threshold is not None and self._parameters.flag(THRESHOLD_AUTOMATIC):
            lines.append(_("Threshold from the noise near the strokes: {value:.4g}.").format(value=grown.threshold))
        if lines and not controller.classes and self._parameters.text(GROW) == "new":
            lines.append(_("What the network knows is not known yet: every segment counts as new."))
        if not lines and not strokes.book.is_empty:
            lines.append(
                _("Growing is off.")
                if self._parameters.text(GROW) == "none"
                else _("None of the stroked segments grows with this choice.")
            )
        for target, (x, y, z) in grown.leaks.items():
            lines.append(
                _(
                    "Growing of {name} was stopped at a leak near RAS ({x:.0f}, {y:.0f}, {z:.0f}) mm. "
                    "Lower the threshold, or draw a background stroke there."
                ).format(name=_nameOf(segmentation, target), x=x, y=y, z=z)
            )
        return lines + goneSentences(segmentation, strokes.book)


def goneSentences(segmentation, book):
    """A sentence when strokes belong to segments that were removed: they are kept, but take no part."""
    gone = [target for target in book.targets() if target and segmentation.GetSegment(target) is None]
    if not gone:
        return []
    count = sum(1 for stroke in book if stroke.target in gone)
    return [_("{count} strokes belong to a removed segment and take no part.").format(count=count)]


def _nameOf(segmentation, target):
    segment = segmentation.GetSegment(target) if target else None
    return segment.GetName() if segment else _("Background")


def _same(now, shown):
    """True when the overlay shows this already, so that it need not be made again."""
    if shown is None or now[0] is not shown[0] or now[1].keys() != shown[1].keys():
        return False
    return all(np.array_equal(now[1][target], shown[1][target]) for target in now[1])

"""Names, defaults and values of the effect's parameters, as stored on the segment editor node with the scene.

The editor node stores them as attributes `Interactive Refine.<name>`, so a name must never change. What may start a
program (the worker's command, which networks are trusted) is a setting of the computer and not of the scene.
"""

from dataclasses import dataclass

#: How a drag is read.
INPUT_MODE = "InputMode"
STROKE, BOX = "Stroke", "Box"
#: What a drag without modifier keys says; Shift and Alt override it.
MARK_AS = "MarkAs"
SEGMENT, BACKGROUND, NOT_SEGMENT = "Segment", "Background", "NotSegment"
BRUSH_DIAMETER_MM = "BrushDiameterMm"
#: How far a box reaches across its slice in mm; 0 = only this slice.
BOX_DEPTH_MM = "BoxDepthMm"

SHOW_GROWN = "ShowGrown"
#: RefineSettings.grow: "new", "all" or "none".
GROW = "Grow"
THRESHOLD_AUTOMATIC = "ThresholdAutomatic"
#: Growing's T in the image's units; used where THRESHOLD_AUTOMATIC is "0".
THRESHOLD = "Threshold"
#: Growing's R.
MAX_DISTANCE_MM = "MaxDistanceMm"

AUTO_REFINE = "AutoRefine"
AUTO_REFINE_DELAY_S = "AutoRefineDelayS"

PREVIEW_OPACITY = "PreviewOpacity"
SHOW_CHANGES = "ShowChanges"

#: RefineSettings.reach, .update, .layers (0 = automatic), .steps, .learning_rate (0 = the rule's own), .device.
REACH = "Reach"
UPDATE = "Update"
LAYERS = "Layers"
STEPS = "Steps"
LEARNING_RATE = "LearningRate"
DEVICE = "Device"
#: Folder of the network as the worker sees it; "" = the one that comes with this program.
BACKBONE = "Backbone"

DEFAULTS = {
    BACKBONE: "",
    INPUT_MODE: STROKE,
    MARK_AS: SEGMENT,
    BRUSH_DIAMETER_MM: 4.0,
    BOX_DEPTH_MM: 0.0,
    SHOW_GROWN: 1,
    GROW: "new",
    THRESHOLD_AUTOMATIC: 1,
    THRESHOLD: 20.0,
    MAX_DISTANCE_MM: 20.0,
    AUTO_REFINE: 0,
    AUTO_REFINE_DELAY_S: 1.5,
    PREVIEW_OPACITY: 0.6,
    SHOW_CHANGES: 1,
    REACH: "automatic",
    UPDATE: "protected",
    LAYERS: 0,
    STEPS: 0,
    LEARNING_RATE: 0.0,
    DEVICE: "auto",
}


def setDefaults(scriptedEffect):
    """Give every parameter that the editor node lacks its default."""
    for name, value in DEFAULTS.items():
        # "" cannot be told from "not there", which is what it means here.
        if value != "":
            scriptedEffect.setParameterDefault(name, value)


@dataclass(frozen=True)
class Parameters:
    """Reads an effect's parameters, with the defaults where the editor node has none or an unreadable one."""

    scriptedEffect: object

    def text(self, name):
        """A text parameter."""
        return self._stored(name) or DEFAULTS[name]

    def number(self, name):
        """A parameter as float."""
        try:
            return float(self._stored(name))
        except (TypeError, ValueError):
            return float(DEFAULTS[name])

    def flag(self, name):
        """A parameter as bool."""
        return self.number(name) != 0

    def _stored(self, name):
        """The stored text, "" where there is none; asking for one that is not there would log an error."""
        return self.scriptedEffect.parameter(name) if self.scriptedEffect.parameterDefined(name) else ""

    def settings(self):
        """`RefineSettings` of what the user chose.

        Raises:
            InputError: a stored value is outside of what is allowed, as in a scene of another version.
        """
        from InteractiveRefineLib.settings import RefineSettings

        return RefineSettings(
            update=self.text(UPDATE),
            layers=int(self.number(LAYERS)) or None,
            steps=int(self.number(STEPS)) or None,
            learning_rate=self.number(LEARNING_RATE) or None,
            reach=self.text(REACH),
            grow=self.text(GROW),
            threshold=None if self.flag(THRESHOLD_AUTOMATIC) else self.number(THRESHOLD),
            max_distance_mm=self.number(MAX_DISTANCE_MM),
            device=self.text(DEVICE),
        )

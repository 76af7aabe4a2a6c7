"""Every name under which Interactive Refine keeps something in a scene."""

#: Name of the effect: an editor activates it by this, and stores its parameters under it. Never translated or changed.
EFFECT_NAME = "InteractiveRefine"
#: Attributes, tags and reference roles start with it.
PREFIX = EFFECT_NAME + "."

#: Reference role, segmentation node -> node that shows and keeps its strokes.
STROKES_ROLE = PREFIX + "Strokes"
#: Reference role, segmentation node -> node of the proposed result.
PREVIEW_ROLE = PREFIX + "Preview"
#: Reference role, strokes or preview node -> volume on whose grid it lies.
VOLUME_ROLE = PREFIX + "Volume"
#: Reference role, source volume -> volume of a further channel; followed by the channel's name, see `scene_image`.
CHANNEL_ROLE = PREFIX + "Channel."
#: Attribute of the strokes node: all strokes, lossless, as JSON.
STROKES_ATTRIBUTE = PREFIX + "StrokeBook"

#: Tag of a segment: name of the class of the network that it stands for; "" = explicitly none.
CLASS_TAG = PREFIX + "Class"
#: Tag of a segment: names of further classes of the network that are merged into it.
MERGED_TAG = PREFIX + "MergedClasses"
#: Attribute of the segmentation: names of classes of the network that get no segment.
IGNORED_ATTRIBUTE = PREFIX + "IgnoredClasses"
#: Tag of a segment: number of the stroke state that belongs to this state of the segmentation.
STATE_TAG = PREFIX + "State"
#: Tag of a segment of a strokes node: what it shows ("class", "not", "grown") and for which segment.
OVERLAY_KIND_TAG = PREFIX + "Kind"
OVERLAY_TARGET_TAG = PREFIX + "Target"

#: Names of the nodes we make; followed by the segmentation's name.
STROKES_NODE_NAME = "InteractiveRefine strokes"
PREVIEW_NODE_NAME = "InteractiveRefine preview"

#: Slicer's name of the voxels of a segment.
BINARY_LABELMAP = "Binary labelmap"
CLOSED_SURFACE = "Closed surface"

#: Color of background strokes (red, green, blue from 0 to 1): nothing in a gray scan looks like it.
BACKGROUND_COLOR = (0.1, 0.85, 1.0)

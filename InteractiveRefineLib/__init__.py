"""InteractiveRefine: correct a segmentation from a few strokes by tuning a pretrained network on this one image."""

__version__ = "0.1.0"

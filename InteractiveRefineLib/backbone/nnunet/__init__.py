"""Trained-model folders of nnU-Net version 2, TotalSegmentator's among them."""

from .model import KIND, describe, load
from .places import recognizes

__all__ = ["KIND", "describe", "load", "recognizes"]

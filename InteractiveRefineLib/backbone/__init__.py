"""Pretrained networks: their description, loading, input grid and prediction."""

from .config import BackboneConfig
from .load import Backbone
from .recognize import describe_backbone, load_backbone

__all__ = ["Backbone", "BackboneConfig", "describe_backbone", "load_backbone"]

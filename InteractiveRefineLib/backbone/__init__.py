"""Pretrained networks: their description, loading, input grid and prediction."""

from .config import BackboneConfig
from .load import Backbone, load_backbone

__all__ = ["Backbone", "BackboneConfig", "load_backbone"]

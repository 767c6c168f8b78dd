"""Spatial transformers for networks of one's own, built without a config."""

from stnlab.layers.transformer import SpatialTransformer, TimeTransformer, Transformer, Warped

__all__ = ["SpatialTransformer", "TimeTransformer", "Transformer", "Warped"]

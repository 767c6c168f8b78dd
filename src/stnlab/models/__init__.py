"""The networks: localization, transformer and classifier, and how they compose."""

from stnlab.models.network import Network, Transformer, build_network

__all__ = ["Network", "Transformer", "build_network"]

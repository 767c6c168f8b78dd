"""The networks: localization, transformer and classifier, and how they compose."""

from stnlab.models.network import Network, build_network

__all__ = ["Network", "build_network"]

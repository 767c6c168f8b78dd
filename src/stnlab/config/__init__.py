"""Typed configs: the schema, how Hydra fills it, and the rules it must keep."""

from stnlab.config.composition import CONF_DIR, PROJECT_DIR, compose, from_hydra
from stnlab.config.identity import NOT_APPLICABLE, cell, differing_keys, folder, identity, to_plain
from stnlab.schema import ExperimentConfig

__all__ = [
    "CONF_DIR",
    "NOT_APPLICABLE",
    "PROJECT_DIR",
    "ExperimentConfig",
    "cell",
    "compose",
    "differing_keys",
    "folder",
    "from_hydra",
    "identity",
    "to_plain",
]

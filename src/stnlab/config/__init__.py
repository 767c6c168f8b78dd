"""Typed configs: the schema, how Hydra fills it, and the rules it must keep."""

from stnlab.config.composition import (
    compose,
    compose_study,
    from_hydra,
    sweep_from_hydra,
)
from stnlab.config.identity import (
    NOT_APPLICABLE,
    cell,
    dataset_label,
    differing_keys,
    folder,
    identity,
    to_plain,
    with_defaults,
)
from stnlab.config.kept import from_plain
from stnlab.data.places import CONF_DIR, PROJECT_DIR
from stnlab.schema import ExperimentConfig, StudyConfig, SweepConfig

__all__ = [
    "CONF_DIR",
    "NOT_APPLICABLE",
    "PROJECT_DIR",
    "ExperimentConfig",
    "StudyConfig",
    "SweepConfig",
    "cell",
    "compose",
    "compose_study",
    "dataset_label",
    "differing_keys",
    "folder",
    "from_hydra",
    "from_plain",
    "identity",
    "sweep_from_hydra",
    "to_plain",
    "with_defaults",
]

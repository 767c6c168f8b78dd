"""A run's config as its folder keeps it: back from plain containers, without Hydra's files."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from stnlab import parts
from stnlab.config.identity import NOT_APPLICABLE
from stnlab.errors import UserError, did_you_mean
from stnlab.schema import ExperimentConfig, TrainerConfig

# The parts of runs of before parts were noted; their dataset's and their model's follow from names.
_BEFORE = {
    "distortion": "similarity",
    "init": "start",
    "padding": "padding",
    "optimizer": "adam",
    "schedule": "none",
}
# What stands for a group that plays no part in a run.
_UNUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "warp": ("affine", {}),
    "init": ("start", {"name": "identity", "theta": [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]]}),
    "padding": ("padding", {"mode": "zeros"}),
    "schedule": ("none", {}),
}


def from_plain(plain: Mapping[str, Any]) -> ExperimentConfig:
    """The inverse of :func:`stnlab.config.to_plain`.

    A key that did not exist when the run was made has its dataclass's default, and a group that
    does not apply its default part. What was noted beside the config, as ``parts``, is no key.

    Raises:
        UserError: a group is missing, of a part that no imported module offers, or has other keys.
    """
    values: dict[str, Any] = {}
    for group in parts.GROUPS:
        node = plain.get(group, NOT_APPLICABLE)
        if group == "warp" and group not in plain and plain.get("init") != NOT_APPLICABLE:
            is_series = values["dataset"].spec().is_series
            values[group] = _part(group, "time-affine" if is_series else "affine", {})
        elif node != NOT_APPLICABLE:
            if not isinstance(node, Mapping):
                raise UserError(f"its {group} is {node!r}, and no group of keys.")
            values[group] = _part(group, _name(group, node, plain), node)
        elif group in _UNUSED:
            values[group] = _part(group, *_UNUSED[group])
        else:
            raise UserError(f"it has no {group}.")
    values["trainer"] = _typed("trainer", TrainerConfig, plain.get("trainer", {}))
    own = {field.name for field in dataclasses.fields(ExperimentConfig)} - values.keys()
    rest = _typed("", ExperimentConfig, {key: plain[key] for key in plain if key in own}, own)
    return ExperimentConfig(**values, **rest)


def _name(group: str, node: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    """The name of the part by which a group is read."""
    noted = plain.get("parts")
    if isinstance(noted, Mapping) and group in noted:
        return str(noted[group])
    if group in _BEFORE:
        return _BEFORE[group]
    offered, own = parts.offered(group), str(node.get("name"))
    if own in offered:
        return own
    # By its keys: the part that has them, before those that were derived from it.
    having = {
        name: part
        for name, part in offered.items()
        if node.keys() <= {field.name for field in dataclasses.fields(part)}
    }
    fitting = [
        name
        for name, part in having.items()
        if all(issubclass(other, part) for other in having.values())
    ]
    if len(fitting) != 1:
        raise UserError(f"its {group} is '{own}', which is of no part that is known.")
    return fitting[0]


def _part(group: str, name: str, node: Mapping[str, Any]) -> Any:
    offered = parts.offered(group)
    if name not in offered:
        raise UserError(
            f"its {group} is '{name}', which no module that is imported offers."
            f"{did_you_mean(name, offered)} Name your own with --with, or import it before."
        )
    return _typed(group, offered[name], node)


def _typed(group: str, kind: type[Any], node: Any, keys: set[str] | None = None) -> Any:
    """An object of a dataclass, its values converted and checked; with ``keys`` these alone."""
    try:
        typed = OmegaConf.merge(OmegaConf.structured(kind), node)
        if keys is not None:
            return OmegaConf.to_container(OmegaConf.masked_copy(typed, list(keys)))  # type: ignore[arg-type]  # a node
        return OmegaConf.to_object(typed)
    except OmegaConfBaseException as error:
        key = ".".join(filter(None, [group, str(error.full_key or "")]))
        reason = str(error.msg or error).splitlines()[0]
        raise UserError(
            f"'{key}': {reason}. Another version of stnlab may have made it."
        ) from error

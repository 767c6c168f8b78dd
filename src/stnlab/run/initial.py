"""Starting from the weights of another run."""

from pathlib import Path
from typing import Any

from torch import Tensor

from stnlab.checkpoints import checkpoint_of, load_weights, weights_checksum
from stnlab.config import differing_keys, identity, to_plain, with_defaults
from stnlab.errors import UserError
from stnlab.files import read_yaml
from stnlab.schema import ExperimentConfig
from stnlab.task import Classification

_MAX_NAMED = 8  # keys in a message
_OF_NETWORKS = ("dataset", "model", "warp", "init")


def start_from_another(config: ExperimentConfig, task: Classification) -> dict[str, Any]:
    """Give the network the weights that ``init_from`` names, if it does.

    Returns:
        What ``metrics.json`` says of it.

    Raises:
        UserError: they cannot be read, or are not of such a network.
    """
    if config.init_from is None:
        return {}
    path = checkpoint_of(config.init_from)
    weights, own = load_weights(path), task.state_dict()
    for name in dict.fromkeys((*own, *weights)):
        there, here = _shape(weights.get(name)), _shape(own.get(name))
        if there != here:
            raise UserError(
                f"init_from: the weights in {path} do not fit this run's network. The first that "
                f"differs is {name.removeprefix('network.')}: {there} there, {here} here."
                f"{_difference(path, config)} Name a run of such a network, or leave init_from out."
            )
    task.load_state_dict(weights)
    return {"init_from": {"path": str(path), "sha256": weights_checksum(path)}}


def _shape(weight: Tensor | None) -> str:
    return "none" if weight is None else "×".join(map(str, weight.shape)) or "one number"


def _difference(checkpoint: Path, config: ExperimentConfig) -> str:
    """A sentence on what differs between the other run's config and this one's."""
    now = to_plain(config)
    try:
        before = with_defaults(read_yaml(checkpoint.parent.parent / "config.yaml"), now)
        found = differing_keys(identity(before), identity(now))
    except (ValueError, TypeError, AttributeError):  # none there, or none that is a run's
        return ""
    keys = [
        f"{key} was {value}, is now {here}"
        for key, value, here in found
        if key.partition(".")[0] in _OF_NETWORKS
    ]
    more = f"; and {len(keys) - _MAX_NAMED} more" if len(keys) > _MAX_NAMED else ""
    return f" Between the runs' configs: {'; '.join(keys[:_MAX_NAMED])}{more}." if keys else ""

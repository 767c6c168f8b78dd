"""Composing the cells of a grid: Hydra's part once for each choice of configs.

What Hydra reads from the files depends on the choices of config groups alone; on what that gives,
it sets each ``key=value``. The first takes it a tenth of a second, the second a millisecond. So
the first is done once for each choice, and the second on a copy, by the call that Hydra makes.
"""

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from stnlab import extensions, schema
from stnlab.config.commandline import is_hydras
from stnlab.config.composition import (
    compose,
    composed_by_hydra,
    require_known_keys,
    to_typed,
    valid,
    with_home,
)
from stnlab.config.text import keep_text

_MAX_READ = 4096  # overrides that are kept as read; a grid repeats them


class _Setting(NamedTuple):
    key: str
    value: Any


class Composer:
    """:func:`compose` for runs that share their choices of configs; Hydra must be set up.

    Where an override is more than ``group=option`` or ``key=value``, and where anything is wrong,
    Hydra composes the whole, and says what it says.
    """

    def __init__(self) -> None:
        self._read = lru_cache(_MAX_READ)(_read)
        self._chosen: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str]) -> schema.ExperimentConfig:
        """What :func:`compose` gives for the overrides.

        Raises:
            UserError: for anything that is wrong with the overrides or the files.
        """
        try:
            config = self._from_choices(overrides)
        except Exception:  # of many kinds, and none is lost: all come again where Hydra composes
            config = None
        return compose(overrides) if config is None else config

    def _from_choices(self, overrides: Sequence[str]) -> schema.ExperimentConfig | None:
        read = [self._read(each) for each in overrides]
        choices = tuple(each for each in read if isinstance(each, str))
        settings = [each for each in read if isinstance(each, _Setting)]
        if len(choices) + len(settings) < len(read):
            return None
        if choices not in self._chosen:
            extensions.load()
            composed = composed_by_hydra(choices)
            require_known_keys(composed)
            self._chosen[choices] = composed
        composed = copy.deepcopy(self._chosen[choices])
        for key, value in settings:
            OmegaConf.update(composed, key, value, merge=True)
        if any("${" in str(value) for _, value in settings):  # which may stand for a whole node
            require_known_keys(composed)
        return valid(to_typed(composed))


def _read(line: str) -> str | _Setting | None:
    """The choice of a group's option, as it is written, or a setting; None of anything else."""
    (kept,) = keep_text(with_home([line]))
    override = OverridesParser.create().parse_override(kept)
    value = override.value()
    if override.is_sweep_override() or is_hydras(override) or not _is_plain(value):
        return None
    if _is_group(override.key_or_group):
        return kept
    is_change = override.is_add() or override.is_force_add() or override.is_delete()
    return None if is_change or override.package else _Setting(override.key_or_group, value)


def _is_plain(value: Any) -> bool:
    """Whether it is no mapping, and has none in it: those may bring new keys."""
    return all(map(_is_plain, value)) if isinstance(value, list) else not isinstance(value, dict)


def _is_group(key: str) -> bool:
    """Whether it is a config group's, as Hydra tells it from other keys."""
    return any(
        source.is_group(key) for source in GlobalHydra.instance().config_loader().get_sources()
    )

"""What makes two runs the same run, and the folder that follows from it."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from stnlab import extensions, parts
from stnlab.checkpoints import checkpoint_of, weights_checksum
from stnlab.schema import ExperimentConfig

# Keys that say where a run happens, not what it is; parts say theirs.
_CIRCUMSTANCES = {
    "name",
    "cell",
    "output_dir",
    "overwrite",
    "init_from",  # what lies there is part of it: init_from_sha256
    "trainer.profiler",
    "trainer.log_every_n_steps",
    "trainer.enable_progress_bar",
    "trainer.enable_figures",
    "trainer.keep_epochs",
}

NOT_APPLICABLE = "NA"
# What only a model with a transformer has.
_OF_TRANSFORMERS = ("warp", "init", "padding")
# What runs had that noted no part of a group: all the parts that there were, or what takes the
# place of a group that did not exist. A new group needs a word here; a new part has none.
_BEFORE = {
    "dataset": ("digits", "mimic", "physionet2012"),
    "model": ("cnn", "fcn", "logistic", "lstm", "multi-stn", "stn", "time-in-range", "ts-stn"),
    "warp": ("affine", "time-affine"),
    "init": ("start",),
    "padding": ("padding",),
    "distortion": ("similarity",),
    "optimizer": ("adam",),
    "schedule": ("none",),
}


def to_plain(config: ExperimentConfig) -> dict[str, Any]:
    """The resolved config as plain containers, enums by name.

    ``warp``, ``init`` and ``padding`` are "NA" for a model without a transformer. ``parts`` says by
    which part each group is read, ``extensions`` the checksums of the user's modules that it takes,
    ``init_from_sha256`` that of the weights that it starts from.

    Raises:
        UserError: those weights cannot be read.
    """
    plain = _plain(dataclasses.asdict(config))
    assert isinstance(plain, dict)
    if config.init_from is not None:
        plain["init_from_sha256"] = weights_checksum(checkpoint_of(config.init_from))
    if not config.model.has_transformer:
        plain |= dict.fromkeys(_OF_TRANSFORMERS, NOT_APPLICABLE)
    kinds = {
        group: parts.kind_of(getattr(config, group))[1]
        for group in parts.GROUPS
        if plain[group] != NOT_APPLICABLE
    }
    used = {type(getattr(config, group)).__module__ for group in kinds} | parts.callback_modules()
    own = {
        each.module: each.sha256
        for each in extensions.loaded()
        if any(f"{module}.".startswith(f"{each.module}.") for module in used)
    }
    return {**plain, "parts": kinds, **({"extensions": own} if own else {})}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def flatten(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` to ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def identity(plain: dict[str, Any]) -> dict[str, Any]:
    """The keys of :func:`to_plain` that decide a run's numbers, flat."""
    left_out = circumstances()
    return {key: value for key, value in flatten(plain).items() if key not in left_out}


def circumstances() -> set[str]:
    """The keys that say where a run happens, not what it is."""
    return _CIRCUMSTANCES | parts.circumstances()


def with_defaults(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The plain config of an earlier run, with the keys that did not exist then at their defaults.

    Args:
        before: of the earlier run, as it lies in its folder.
        now: of a run that it is compared with; its parts say which keys there are.
    """
    kinds = now.get("parts", {})
    were = {group for group, kind in kinds.items() if kind in _BEFORE.get(group, ())}
    there = flatten(before)
    added = {key: value for key, value in flatten(now).items() if key not in there}
    completed = dict(before)
    for key, value in added.items():
        group, _, rest = key.partition(".")
        if group == "parts":
            default = value if rest in were else _MISSING
        elif group not in kinds:
            is_left_out = group not in before and value == NOT_APPLICABLE
            default = value if is_left_out else _default(ExperimentConfig, key)
        elif group in before or group in were:
            default = _default(parts.offered(group)[kinds[group]], rest)
            if group not in before and default is _MISSING:
                default = value
        else:
            default = _MISSING
        if default is not _MISSING:
            _set(completed, key, default)
    return completed


_MISSING = object()


def _default(kind: type[Any], key: str) -> Any:
    """The default of a dataclass's key, plain; ``_MISSING`` where it has none."""
    first, _, rest = key.partition(".")
    field = {each.name: each for each in dataclasses.fields(kind)}.get(first)
    if field is None:
        return _MISSING
    if rest:
        inner = get_type_hints(kind)[first]
        is_group = isinstance(inner, type) and dataclasses.is_dataclass(inner)
        return _default(inner, rest) if is_group else _MISSING
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    return _MISSING if value in (dataclasses.MISSING, "???") else _plain(value)


def _set(plain: dict[str, Any], key: str, value: Any) -> None:
    """Set a key of a flat name, unless something stands there that is no group."""
    *groups, last = key.split(".")
    for group in groups:
        inner = plain.get(group, {})
        if not isinstance(inner, dict):
            return
        plain[group] = dict(inner)
        plain = plain[group]
    plain[last] = value


def differing_keys(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """``(key, value in one, value in other)`` where two identities differ; absent is None."""
    keys = list(dict.fromkeys([*one, *other]))
    return [(key, one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)]


def dataset_label(plain: dict[str, Any]) -> str:
    """What outputs call the dataset of a plain config: never a real one's name for made-up data."""
    dataset = plain.get("dataset")
    if not isinstance(dataset, dict):
        return str(dataset)
    name = str(dataset.get("name"))
    return f"{name}-synthetic" if dataset.get("source") == "synthetic" else name


def transformer_start(config: ExperimentConfig) -> tuple[str, str]:
    """The names of init and padding, "NA" for a model without a transformer."""
    if not config.model.has_transformer:
        return NOT_APPLICABLE, NOT_APPLICABLE
    return config.init.name, config.padding.label


def cell(config: ExperimentConfig) -> str:
    """The row of a results table that the run belongs to, e.g. ``stn-identity-zeros``.

    A warp is named where it is not the affine one: ``stn-rotation-identity-zeros``.
    """
    if config.cell is not None:
        return config.cell
    words = [config.model.name]
    if config.model.has_transformer:
        warp = [] if config.warp.name in _BEFORE["warp"] else [config.warp.name]
        words += [*warp, *transformer_start(config)]
    return "-".join(words)


# Of the keys that a folder's path tells, and of those that say what to do with it.
_TOLD = ("model", "warp", "init", "padding", "seed", "name", "cell", "output_dir", "overwrite")
_MAX_CELL = 200  # bytes of a name, as a folder may have
_NUM_READABLE = 80  # bytes of a longer one


def named(name: str, settings: dict[str, Any]) -> str:
    """A cell's name with the keys that tell it apart; where that is long, its start and a hash."""
    words = [
        str(value) if key == "dataset" else f"{key}={_as_written(value)}"
        for key, value in settings.items()
    ]
    label = "-".join([name, *words]).replace("/", "_").replace("\\", "_")
    if len(label.encode()) <= _MAX_CELL:
        return label
    digest = hashlib.sha256(label.encode()).hexdigest()
    start = label.encode()[:_NUM_READABLE].decode(errors="ignore")
    return f"{start.rstrip('. ')}-{digest[:12]}"


def _as_written(value: Any) -> str:
    return "null" if value is None else str(value)


def swept_cell(
    config: ExperimentConfig, swept: Iterable[str], choices: Mapping[str, str]
) -> str | None:
    """The cell of one of many runs that differ in the keys ``swept``; None where its own will do.

    Args:
        config: the run's.
        swept: keys and config groups.
        choices: each group's option.
    """
    plain = to_plain(config)
    order = list(flatten(plain))
    found: dict[str, Any] = {}
    for key in sorted(set(swept), key=lambda key: _place(key, order)):
        if key in _TOLD or not key or (key == "dataset" and config.name is None):
            continue
        value: Any = plain
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, dict):  # a group, by its option
            value = value.get("name") or choices.get(key, value)
        found[key] = value
    return named(cell(config), found) if found else None


def _place(key: str, order: list[str]) -> tuple[int, str]:
    places = [place for place, each in enumerate(order) if f"{each}.".startswith(f"{key}.")]
    return min(places, default=len(order)), key


def folder(config: ExperimentConfig) -> Path:
    """``<output_dir>/<name>/<cell>/seed=<n>``."""
    name = config.name or config.dataset.name
    return Path(config.output_dir) / name / cell(config) / f"seed={config.seed}"

"""What makes two runs the same run, and the folder that follows from it."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from stnlab.schema import ExperimentConfig, StnConfig

# Keys that say where a run happens, not what it is.
CIRCUMSTANCES = (
    "name",
    "cell",
    "output_dir",
    "overwrite",
    "dataset.root",
    "dataset.download",
    "dataset.shown_variable",
    "trainer.profiler",
    "trainer.log_every_n_steps",
    "trainer.enable_progress_bar",
)

NOT_APPLICABLE = "NA"


def to_plain(config: ExperimentConfig) -> dict[str, Any]:
    """The resolved config as plain containers, enums by name.

    ``init`` and ``padding`` are "NA" for a model without a transformer.
    """
    plain = _plain(dataclasses.asdict(config))
    assert isinstance(plain, dict)
    if not isinstance(config.model, StnConfig):
        plain["init"] = plain["padding"] = NOT_APPLICABLE
    return plain


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
    return {key: value for key, value in flatten(plain).items() if key not in CIRCUMSTANCES}


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
    if not isinstance(config.model, StnConfig):
        return NOT_APPLICABLE, NOT_APPLICABLE
    return config.init.name, config.padding.mode.name


def cell(config: ExperimentConfig) -> str:
    """The row of a results table that the run belongs to, e.g. ``stn-identity-zeros``."""
    if config.cell is not None:
        return config.cell
    start = [each for each in transformer_start(config) if each != NOT_APPLICABLE]
    return "-".join([config.model.name, *start])


# Of the keys that a folder's path tells, and of those that say what to do with it.
_TOLD = ("model", "init", "padding", "seed", "name", "cell", "output_dir", "overwrite")
_MAX_CELL = 200  # bytes of a name, as a folder may have
_NUM_READABLE = 80  # characters of a longer one


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
    return f"{label[:_NUM_READABLE].rstrip('. ')}-{digest[:12]}"


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

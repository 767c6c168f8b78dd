"""What makes two runs the same run, and the folder that follows from it."""

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Any

from stnlab.schema import ExperimentConfig, StnConfig

# Keys that say where a run happens, not what it is.
_CIRCUMSTANCES = (
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
    return {key: value for key, value in flatten(plain).items() if key not in _CIRCUMSTANCES}


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


def folder(config: ExperimentConfig) -> Path:
    """``<output_dir>/<name>/<cell>/seed=<n>``."""
    name = config.name or config.dataset.name
    return Path(config.output_dir) / name / cell(config) / f"seed={config.seed}"

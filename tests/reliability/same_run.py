"""Whether two runs have left the same; and the short runs that this is tried on.

Times, and the description of the machine, are never compared.
"""

import json
from pathlib import Path
from typing import Any

import torch
from short_run import DRAWN, SHORT
from torch import Tensor

from stnlab.run.recorder import load_checkpoint

KINDS = {
    "digits": [
        "dataset=rot90",
        "model=stn",
        *SHORT,
        "trainer.max_epochs=3",
        DRAWN,
    ],
    "clinical": [
        "dataset=mimic",
        "dataset.source=synthetic",
        "dataset.num_train=200",
        "dataset.num_val=60",
        "dataset.num_test=80",
        "model=ts-stn",
        *SHORT,
        "trainer.max_epochs=3",
        "trainer.limit_test_batches=1.0",
    ],
}
_NOT_THE_SAME = {"metrics.json", "history.csv", "config.yaml", "checksums.sha256"}  # by bytes
# Of a checkpoint; the rest is Lightning's account of its loops, and the history with its seconds.
_COMPARED = ("global_step", "state_dict", "optimizer_states")


class DifferenceError(AssertionError):
    """A run is not as it should be."""


def check_same_results(run: Path, before: Path) -> None:
    """Two complete run folders hold the same files, numbers and weights.

    Raises:
        DifferenceError: naming the first thing that differs.
    """
    names, expected_names = _names(run), _names(before)
    if names != expected_names:
        raise DifferenceError(f"left over or missing: {sorted(names ^ expected_names)}")
    check_same_metrics(run, before)
    if without_seconds(run / "history.csv") != without_seconds(before / "history.csv"):
        raise DifferenceError("history.csv differs")
    for name in sorted(names):
        if name.endswith(".ckpt"):
            check_same_weights(run / name, before / name)
        elif name not in _NOT_THE_SAME:
            check_same_bytes(run / name, before / name)


def check_same_metrics(run: Path, before: Path) -> None:
    metrics, whole = (json.loads((each / "metrics.json").read_text()) for each in (run, before))
    for key in sorted(metrics.keys() | whole.keys()):
        one, other = (each.get(key, "missing") for each in (metrics, whole))
        if key not in ("seconds", "environment") and one != other:
            raise DifferenceError(f"metrics.json: {key} is {one}, should be {other}")


def check_same_bytes(found: Path, expected: Path) -> None:
    if found.read_bytes() != expected.read_bytes():
        raise DifferenceError(f"{found.name} differs")


def check_same_weights(found: Path, expected: Path) -> None:
    """The weights, the optimizer's state and the number of steps of two checkpoints, bit by bit."""
    one, other = load_checkpoint(found), load_checkpoint(expected)
    for part in _COMPARED:
        place = _first_difference(one[part], other[part], part)
        if place is not None:
            raise DifferenceError(f"{found.name}: {place} differs")


def without_seconds(path: Path) -> list[str]:
    """The lines of a ``history.csv`` but for its times; none where there is no file."""
    if not path.exists():
        return []
    header, *rows = path.read_text().splitlines()
    columns = [index for index, name in enumerate(header.split(",")) if name != "seconds"]
    return [",".join(row.split(",")[index] for index in columns) for row in rows]


def _names(run: Path) -> set[str]:
    files = (path for path in run.rglob("*") if path.is_file())
    return {str(path.relative_to(run)) for path in files if "tfevents" not in path.name}


def _first_difference(found: Any, expected: Any, name: str) -> str | None:
    """Where two structures of plain containers and tensors differ."""
    if type(found) is not type(expected):
        return name
    if isinstance(expected, list | tuple):
        found, expected = dict(enumerate(found)), dict(enumerate(expected))
    if isinstance(expected, dict):
        if found.keys() != expected.keys():
            return name
        within = (_first_difference(found[key], expected[key], f"{name}.{key}") for key in expected)
        return next((place for place in within if place is not None), None)
    if isinstance(expected, Tensor):
        return None if _bits(found) == _bits(expected) else name
    return None if found == expected else name


def _bits(tensor: Tensor) -> tuple[torch.dtype, torch.Size, bytes]:
    return tensor.dtype, tensor.shape, tensor.flatten().view(torch.uint8).numpy().tobytes()

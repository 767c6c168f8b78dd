"""Hourly values kept on disk, so that a folder of episodes is parsed once.

The key is a SHA-256 over the names and bytes of all the episodes of a list, in order. Times and
sizes of files would be quicker to ask for, but a copy, a restored backup or a clock that was set
makes them lie, and a study on the wrong patients is worse than the 10 µs an episode that reading
and hashing take (parsing takes thrice that). The same digest names the data in a run's record.

One file a list, where ``places`` says. It holds the values before imputation, a fifth of the size,
so one file serves every rule.
"""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stnlab.data.mimic.episodes import HourlyValues, content_of
from stnlab.data.mimic.variables import NUM_HOURS, NUM_VARIABLES
from stnlab.data.places import cache_folder
from stnlab.files import replacing

_FORMAT = b"stnlab hourly values 1"  # a new number when their meaning changes


class ContentDigest:
    """SHA-256 over episodes, shown one after the other."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256(_FORMAT)

    def add(self, name: str, content: bytes) -> None:
        # The lengths keep what belongs to one file apart from the next.
        self._digest.update(f"\0{name}\0{len(content)}\0".encode())
        self._digest.update(content)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def digest_of(folder: Path, names: Sequence[str]) -> str:
    """The key of the episodes ``names`` in ``folder``."""
    digest = ContentDigest()
    for name in names:
        digest.add(name, content_of(folder / name))
    return digest.hexdigest()


def cache_path(root: Path, split: str) -> Path:
    """Where the hourly values of one list of the data in ``root`` are kept."""
    return cache_folder(root) / f"{split}.npz"


def load(path: Path, num_episodes: int) -> tuple[str, HourlyValues] | None:
    """The key and the values (N, 48, 17) kept in ``path``; None when absent or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            key, hours = str(kept["key"]), kept["hours"]
    except Exception:  # a damaged file raises whatever it likes; the CRC in it guards the values
        return None
    if hours.dtype != np.float32 or hours.shape != (num_episodes, NUM_HOURS, NUM_VARIABLES):
        return None
    return key, hours


def store(path: Path, key: str, hours: HourlyValues) -> None:
    """Keep values under ``key``, in one atomic step; where that is impossible, do without."""
    store_arrays(path, {"key": np.array(key), "hours": hours})


def store_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays to the ``.npz`` file ``path`` in one atomic step, or leave it."""
    with contextlib.suppress(OSError, ValueError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

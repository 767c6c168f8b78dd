"""Parsed sets kept on disk, as ``mimic.cache`` keeps its episodes, and where it does.

The key is a SHA-256 over the bytes of the records (or of their archive) and of the outcomes, and
over everything that gives these a meaning here: variables, ranges, this file's format.
"""

import hashlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from stnlab.data.mimic.cache import cache_path, store_arrays
from stnlab.data.physionet2012.variables import DESCRIPTORS, NUM_HOURS, RANGES, VARIABLES

__all__ = ["cache_path", "key_of", "load", "store"]

Arrays = tuple[str, NDArray[np.float32], NDArray[np.float32]]  # sha256, values, descriptors

_FORMAT = "stnlab physionet2012 1"  # a new number when their meaning changes


def key_of(source_key: str, outcomes: bytes) -> str:
    """The key of records with ``source_key`` and their outcomes."""
    meaning = repr((_FORMAT, source_key, VARIABLES, DESCRIPTORS, sorted(RANGES.items())))
    return hashlib.sha256(meaning.encode() + b"\0" + outcomes).hexdigest()


def load(path: Path, key: str, num_stays: int) -> Arrays | None:
    """What is kept under ``key`` in ``path``; None when absent, damaged or of other data."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["key"]) != key:
                return None
            sha256, values, descriptors = str(kept["sha256"]), kept["values"], kept["descriptors"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, BadZipFile):
        return None
    shapes = (num_stays, NUM_HOURS, len(VARIABLES)), (num_stays, len(DESCRIPTORS))
    if (values.shape, descriptors.shape) != shapes:
        return None
    return (sha256, values, descriptors) if values.dtype == descriptors.dtype == "f4" else None


def store(path: Path, key: str, arrays: Arrays) -> None:
    """Keep arrays under ``key``, in one atomic step; where that is impossible, do without."""
    sha256, values, descriptors = arrays
    named = {"key": key, "sha256": sha256, "values": values, "descriptors": descriptors}
    store_arrays(path, named)

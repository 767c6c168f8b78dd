"""MIMIC-III in the form of the public benchmark, and synthetic episodes in that form.

``from stnlab.data.mimic import read_split`` gives the benchmark's arrays to code of one's own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stnlab.data.mimic.reader import *  # noqa: F403  # for type checkers alone


def __getattr__(name: str) -> Any:
    # numpy is for reading, not for the variables' names
    reader = import_module("stnlab.data.mimic.reader")
    if name in reader.__all__:
        return getattr(reader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

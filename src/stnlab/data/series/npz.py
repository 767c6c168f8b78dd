"""NumPy archives of series."""

import warnings
from pathlib import Path

import numpy as np

from stnlab.data import archive
from stnlab.data.series.source import Floats, Read, SeriesSource
from stnlab.errors import UserError


def read(files: dict[str, Path]) -> SeriesSource:
    """``x`` (N, C, steps) or (N, steps), ``y`` (N,); ``names``, ``columns``, ``classes`` if any."""
    parts: dict[str, Read] = {}
    columns: list[str] | None = None
    classes: list[str] | None = None
    for part, file in files.items():
        there = archive.shapes(file)
        archive.require_names(file, list(there), [("x", "y")])
        x = _numbers(file)
        names = [str(place) for place in range(len(x))]
        if "names" in there:
            names = archive.load_texts(file, "names", len(x))
        own = [f"channel {place}" for place in range(x.shape[1])]
        if "columns" in there:
            own = archive.load_texts(file, "columns", x.shape[1])
        if columns not in (None, own):
            raise UserError(
                f"dataset.root: {file} has the columns {', '.join(own)}, and "
                f"{next(iter(files.values()))} {', '.join(columns or [])}."
            )
        columns = own
        if "classes" in there and classes is None:
            classes = archive.load_texts(file, "classes")
        y = archive.load_labels(file, "y", len(x))
        parts["train" if part == "all" else part] = Read(x, y, names)
    return SeriesSource(parts, columns or [], list(files.values()), classes)


def _numbers(file: Path) -> Floats:
    x = archive.load(file, "x")
    if x.ndim == 2:
        x = x[:, None]
    if x.ndim != 3 or 0 in x.shape or x.dtype.kind not in "fiu":
        raise UserError(
            f"dataset.root: 'x' in {file} has the shape {x.shape} and the type {x.dtype}; allowed: "
            "numbers of (N, channels, steps) or (N, steps), NaN where there is no value."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what is too large becomes infinite
        return x.astype(np.float32)

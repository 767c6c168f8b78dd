"""Where a user's series come from: recognised by what lies in ``dataset.root``.

All layouts give series that may lack values: where one was not measured, and after a series' end
where others are longer. How that is filled is said here, for all of them.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stnlab.data import archive
from stnlab.data.labels import Labels, encode
from stnlab.errors import UserError

Floats = NDArray[np.float32]


class Read(NamedTuple):
    """A part as a file has it: ``x`` (N, C, steps) with NaN where there is no value.

    ``y`` (N,) are whole numbers or texts, ``names`` (N,) of the series.
    """

    x: Floats
    y: NDArray[Any]
    names: list[str]


class SeriesSource:
    """All series of a user's.

    ``parts`` maps "train", and "val" and "test" where the data has them, to series that are all of
    ``num_steps``, NaN where there is no value; ``labels`` to the classes' places. ``gaps`` (C,)
    says which columns lack a value anywhere.
    """

    def __init__(
        self,
        parts: dict[str, Read],
        columns: Sequence[str],
        files: list[Path],
        classes: Sequence[str] | None = None,
    ) -> None:
        self.files = files
        self.num_steps = max(part.x.shape[2] for part in parts.values())
        self.columns = tuple(columns)
        self.parts = {name: _lengthened(part, self.num_steps) for name, part in parts.items()}
        where = str(files[0])
        for name, part in parts.items():
            if len(part.x) == 0:
                raise UserError(f"dataset.root: {where}: the {name} part has no series.")
            if np.isinf(part.x).any():
                at = part.names[int(np.isinf(part.x).any(axis=(1, 2)).argmax())]
                raise UserError(
                    f"dataset.root: {where}: series {at} of the {name} part has a value that is "
                    "infinite or too large. Leave it out, or correct it."
                )
        self.classes, self.labels = encode(
            {name: part.y for name, part in parts.items()}, where, classes
        )
        self.gaps = np.any(
            [np.isnan(part.x).any(axis=(0, 2)) for part in self.parts.values()], axis=0
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """The columns, and a mask for each that lacks a value anywhere."""
        masks = (f"mask->{name}" for name, gap in zip(self.columns, self.gaps, strict=True) if gap)
        return (*self.columns, *masks)

    def statistics(self, places: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation (C,) of each column, over what some training series have of it.

        Raises:
            UserError: they have nothing of one.
        """
        x = self.parts["train"].x[places].astype(np.float64)
        empty = np.isnan(x).all(axis=(0, 2))
        if empty.any():
            raise UserError(
                f"dataset.root: {self.files[0]}: no training series has a value of "
                f"'{self.columns[int(empty.argmax())]}'. Leave the column out."
            )
        std = np.nanstd(x, axis=(0, 2))
        return np.nanmean(x, axis=(0, 2)), np.where(std > 0, std, 1.0)

    def inputs(self, part: str, mean: NDArray[np.float64], std: NDArray[np.float64]) -> Floats:
        """What a network reads of a part, (N, channels, steps): standardised, filled, with masks.

        A value that is missing is the last one before it, and the column's mean where there is
        none before; the same holds after a series' end. A mask is 1 where a value was measured.
        """
        x = (self.parts[part].x - mean[:, None]) / std[:, None]
        measured = ~np.isnan(x)
        steps = np.where(measured, np.arange(self.num_steps), -1)
        last = np.maximum.accumulate(steps, axis=2)
        filled = np.take_along_axis(x, np.maximum(last, 0), axis=2)
        filled = np.where(last >= 0, filled, 0.0)
        return np.concatenate([filled, measured[:, self.gaps]], axis=1, dtype=np.float32)


def open_source(root: str, layouts: str) -> SeriesSource:
    """What lies in ``root``; asked again, it is not read again until it has changed.

    ``layouts`` says what is known, for a message.

    Raises:
        UserError: nothing that is known, more than one thing, or something wrong with it.
    """
    path = Path(root)
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(each, each.stat()) for each in files if each.name[0] != "."]
        return _open(root, layouts, tuple((str(f), s.st_mtime_ns, s.st_size) for f, s in stats))
    except OSError as error:
        raise UserError(
            f"dataset.root: {error.filename or root} cannot be read ({error.strerror or error})."
        ) from error


@functools.lru_cache(maxsize=1)
def _open(root: str, layouts: str, _: tuple[tuple[str, int, int], ...]) -> SeriesSource:
    from stnlab.data.series import long_form, ts

    path = Path(root)
    of_endings: dict[str, Callable[[dict[str, Path]], SeriesSource]] = {
        ".ts": ts.read,
        ".npz": _read_archives,
        ".csv": long_form.read,
    }
    if path.is_file():
        if path.suffix not in of_endings:
            raise UserError(
                f"dataset.root: {path} is a file; allowed: {', '.join(of_endings)}, or a folder."
            )
        return of_endings[path.suffix]({"all": path})
    finders = {".ts": ts.find, ".npz": archive.find, ".csv": long_form.find}
    found = {ending: files for ending, find in finders.items() if (files := find(path))}
    if not found:
        raise UserError(
            f"dataset.root: {path} holds nothing that is read as series. Allowed: {layouts}."
        )
    if len(found) > 1:
        raise UserError(
            f"dataset.root: {path} holds files of {' and '.join(found)}. Leave those of one kind, "
            "or name the file that is meant."
        )
    ((ending, files),) = found.items()
    return of_endings[ending](files)


def _lengthened(part: Read, num_steps: int) -> Read:
    missing = num_steps - part.x.shape[2]
    if not missing:
        return part
    end = ((0, 0), (0, 0), (0, missing))
    return part._replace(x=np.pad(part.x, end, constant_values=np.nan))


def _read_archives(files: dict[str, Path]) -> SeriesSource:
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
            classes = archive.load_texts(file, "classes", there["classes"][0])
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

"""Tables in long form: a row for each value, with the columns id, time, variable and value.

A row's ``label`` is its series' class, the same in all of the series' rows; or ``labels.csv``
beside the table has the columns id and label. Times are numbers, counted alike in all series; the
smallest difference between two of them is one step.
"""

import csv
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stnlab.data.labels import PARTS, in_order, named
from stnlab.data.series.source import Read, SeriesSource
from stnlab.errors import UserError

_NEEDED = ("id", "time", "variable", "value")
_LABELS = "labels.csv"
_MAX_STEPS = 100_000


class _Table(NamedTuple):
    """A file's rows, by series in the order in which they come."""

    file: Path
    values: dict[str, dict[tuple[str, float], float]]
    labels: dict[str, str]


def find(root: Path) -> dict[str, Path] | None:
    """The tables of a folder by their parts; "all" for one that holds everything."""
    found = {
        each.stem: each
        for each in sorted(root.glob("*.csv"))
        if each.name[0] != "." and each.name != _LABELS
    }
    if not found:
        return None
    parts: dict[str, Path] = {part: found[part] for part in PARTS if part in found}
    if "train" in parts:
        return parts
    if len(found) > 1 or parts:
        raise UserError(
            f"dataset.root: {root} holds {', '.join(each.name for each in found.values())}; "
            f"allowed: train.csv and test.csv, or one table; and {_LABELS}. Name one: "
            "dataset.root=FILE.csv."
        )
    return {"all": next(iter(found.values()))}


def read(files: dict[str, Path]) -> SeriesSource:
    """The series of some tables."""
    beside = next(iter(files.values())).parent / _LABELS
    of_ids = dict(_read_labels(beside)) if beside.is_file() else {}
    tables = {part: _read(file, of_ids) for part, file in files.items()}
    keys = [key for t in tables.values() for found in t.values.values() for key in found]
    columns = in_order({variable for variable, _ in keys})
    first, step, num_steps = _grid(next(iter(files.values())), sorted({time for _, time in keys}))
    parts = {}
    for part, table in tables.items():
        x = np.full((len(table.values), len(columns), num_steps), np.nan, np.float32)
        for place, found in enumerate(table.values.values()):
            for (variable, time), value in found.items():
                x[place, columns.index(variable), round((time - first) / step)] = value
        names = list(table.values)
        y = np.array([table.labels[name] for name in names])
        parts["train" if part == "all" else part] = Read(x, y, names)
    _require_apart(tables)
    return SeriesSource(parts, columns, [*files.values(), *([beside] if beside.is_file() else [])])


def _grid(file: Path, times: list[float]) -> tuple[float, float, int]:
    """The first time, the length of a step, and the number of steps."""
    if len(times) < 2:
        raise UserError(f"dataset.root: {file} has one time alone; a series has 2 steps or more.")
    step = min(after - before for before, after in pairwise(times))
    places = [(time - times[0]) / step for time in times]
    off = [
        time for time, place in zip(times, places, strict=True) if abs(place - round(place)) > 1e-3
    ]
    if off or places[-1] >= _MAX_STEPS:
        found = f"{named([f'{time:g}' for time in off])} lie between" if off else "make"
        raise UserError(
            f"dataset.root: {file}: the times {found} steps of {step:g}, the smallest difference "
            f"of two times, from {times[0]:g} to {times[-1]:g}; allowed: times on a grid of at "
            f"most {_MAX_STEPS:,} steps. Round the times, or take means over equal spans."
        )
    return times[0], step, round(places[-1]) + 1


def _require_apart(tables: dict[str, _Table]) -> None:
    seen: dict[str, str] = {}
    for part, table in tables.items():
        for name in table.values:
            if name in seen:
                raise UserError(
                    f"dataset.root: {table.file}: the series '{name}' is in the part {seen[name]}, "
                    "too. Give each series to one part."
                )
            seen[name] = part


def _rows(file: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened)
            there = rows.fieldnames or []
            lacking = [each for each in needed if each not in there]
            if lacking:
                raise UserError(
                    f"dataset.root: {file} has the columns {', '.join(there) or 'none'}, and lacks "
                    f"{', '.join(lacking)}."
                )
            for row in rows:
                if None in row or None in row.values():
                    raise _refused(file, rows.line_num, "has another number of columns")
                yield rows.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"dataset.root: {file} is no table ({error}).") from error


def _read_labels(file: Path) -> Iterator[tuple[str, str]]:
    seen = set()
    for number, row in _rows(file, ("id", "label")):
        if row["id"] in seen:
            raise _refused(file, number, f"gives the series '{row['id']}' a second label")
        seen.add(row["id"])
        yield row["id"], row["label"].strip()


def _read(file: Path, of_ids: dict[str, str]) -> _Table:
    needed = _NEEDED if of_ids else (*_NEEDED, "label")
    table = _Table(file, {}, {})
    for number, row in _rows(file, needed):
        name, variable = row["id"], row["variable"]
        label = of_ids.get(name, "") if of_ids else row["label"].strip()
        if not label:
            raise _refused(file, number, f"is of the series '{name}', which has no label")
        if table.labels.setdefault(name, label) != label:
            raise _refused(file, number, f"gives the series '{name}' a second label, '{label}'")
        values = table.values.setdefault(name, {})
        time = _number(file, number, "time", row["time"])
        if (variable, time) in values:
            raise _refused(
                file, number, f"has a second value of '{variable}' at {time:g} of series '{name}'"
            )
        empty = row["value"].strip().lower() in ("", "nan", "na")
        values[variable, time] = (
            float("nan") if empty else _number(file, number, "value", row["value"])
        )
    if not table.values:
        raise UserError(f"dataset.root: {file} has no rows.")
    return table


def _number(file: Path, number: int, column: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not abs(found) < float("inf"):
        raise _refused(file, number, f"has '{text}' in '{column}', which is no finite number")
    return found


def _refused(file: Path, number: int, reason: str) -> UserError:
    return UserError(f"dataset.root: {file}, line {number}, {reason}.")

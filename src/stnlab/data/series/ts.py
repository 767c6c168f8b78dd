"""The ``.ts`` text files of the UCR and UEA archives, as sktime and aeon read them.

Lines of ``@key value``, then ``@data``; then a line a series: its dimensions separated by colons,
each of them values separated by commas, "?" for one that is missing, and its class last.

Source: the format's description at timeseriesclassification.com.
"""

import re
from pathlib import Path

import numpy as np

from stnlab.data.series.source import Read, SeriesSource
from stnlab.errors import UserError

_PARTS = {"TRAIN": "train", "TEST": "test"}


def find(root: Path) -> dict[str, Path] | None:
    """The files of the one problem in a folder, by their parts; "all" for one without.

    Raises:
        UserError: there are several problems, or a test part alone.
    """
    files = [each for each in sorted(root.glob("*.ts")) if each.name[0] != "."]
    if not files:
        return None
    problems: dict[str, dict[str, Path]] = {}
    for file in files:
        found = re.fullmatch(r"(.+)_(TRAIN|TEST)", file.stem)
        name, part = (found[1], _PARTS[found[2]]) if found else (file.stem, "all")
        problems.setdefault(name, {})[part] = file
    if len(problems) > 1:
        raise UserError(
            f"dataset.root: {root} holds several problems ({', '.join(problems)}). Give each a "
            "folder of its own."
        )
    ((name, parts),) = problems.items()
    if "train" not in parts and "all" not in parts:
        raise UserError(f"dataset.root: {root} has {name}_TEST.ts, but no {name}_TRAIN.ts.")
    return parts


def read(files: dict[str, Path]) -> SeriesSource:
    """The problem of some files."""
    parts = {"train" if part == "all" else part: read_part(file) for part, file in files.items()}
    numbers = {part: found.x.shape[1] for part, found in parts.items()}
    if len(set(numbers.values())) > 1:
        said = ", ".join(f"{part} {number}" for part, number in numbers.items())
        raise UserError(
            f"dataset.root: {next(iter(files.values()))}: parts differ in dimensions: {said}."
        )
    columns = [f"dimension {place + 1}" for place in range(numbers["train"])]
    if len(columns) == 1:
        columns = ["value"]
    return SeriesSource(parts, columns, list(files.values()))


def read_part(file: Path) -> Read:
    """The series of one file.

    Raises:
        UserError: naming the line.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="strict").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"dataset.root: {file} is no text ({error.reason}).") from error
    series: list[list[list[float]]] = []
    labels: list[str] = []
    is_data = False
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if not is_data:
            is_data = _read_header(file, number, line)
            continue
        *dimensions, label = line.split(":")
        if not dimensions:
            raise _refused(file, number, "has no ':' before a class")
        if label.strip() in ("", "?"):
            raise _refused(file, number, "has no class after its last ':'")
        if series and len(dimensions) != len(series[0]):
            raise _refused(
                file, number, f"has {len(dimensions)} dimensions, and the first {len(series[0])}"
            )
        series.append([_values(file, number, each) for each in dimensions])
        labels.append(label.strip())
    if not series:
        raise UserError(f"dataset.root: {file} has no series after a line '@data'.")
    num_steps = max(len(values) for each in series for values in each)
    x = np.full((len(series), len(series[0]), num_steps), np.nan, np.float32)
    for place, each in enumerate(series):
        for dimension, values in enumerate(each):
            x[place, dimension, : len(values)] = values
    return Read(x, np.array(labels), [str(place + 1) for place in range(len(series))])


def _read_header(file: Path, number: int, line: str) -> bool:
    """Whether the data begin after this line."""
    if not line.startswith("@"):
        raise _refused(file, number, "comes before '@data' and is no '@key value'")
    key, *words = line[1:].lower().split()
    if (key, words[:1]) == ("timestamps", ["true"]):
        raise _refused(
            file, number, "announces time stamps; series with their steps alone are read"
        )
    if (key, words[:1]) in (("classlabel", ["false"]), ("targetlabel", ["true"])):
        raise _refused(file, number, "announces no classes; each series needs one")
    return key == "data"


def _values(file: Path, number: int, text: str) -> list[float]:
    words = [word.strip() for word in text.split(",")]
    try:
        return [float("nan") if word in ("?", "NaN") else float(word) for word in words]
    except ValueError as error:
        raise _refused(file, number, f"has a value that is no number ({error})") from error


def _refused(file: Path, number: int, reason: str) -> UserError:
    return UserError(f"dataset.root: {file}, line {number}, {reason}.")

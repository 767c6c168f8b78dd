"""Episodes of the MIMIC-III benchmark: from a file's bytes to hourly values.

An episode's file is a CSV: ``Hours`` and the 17 variables, in any order, a row for
each moment at which something was measured, most fields empty. What it means is the rule of the
benchmark's discretizer (mimic3-benchmarks, ``Discretizer`` with a time step of 1, from 0 to 48):

- The bin of hour t is ``int(t - 1e-6)``, so (0, 1] is bin 0, and so are 0 and (-1, 0).
- Rows after hour 48 + 1e-6 are left alone, whatever is in them; of several values in a bin the last
  row's stays.
- Hours do not decrease by more than 1e-6.

Where the discretizer stops, these rules go on (the benchmark's own files of the full MIMIC-III hold
such texts in the three variables that it does not clean, :data:`_UNCLEANED`):

- A number with a sign of comparison before it, or with words or a fraction stroke after it, is that
  number: ``>60/minute`` is 60, ``80/60`` is 80.
- A text without any digit (``None``, ``Error``) says that nothing was measured.
- ``None`` says so in a categorical variable, too, where it is not one of the categories.
- A field may be quoted, as pandas writes one that holds a comma.

Two readings of it stand here. :func:`hours_of_one` goes field by field and says what is wrong, and
where. :func:`hours_of_many` does many files at once with NumPy and gives up (None) at the first
sight of anything unusual; :func:`read_hours` then asks the other one. A test holds them together.

Both give hourly values: float32 (48, 17), NaN where nothing was measured, a continuous variable's
value as it is, a categorical one's place among its categories.
"""

import csv
import functools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stnlab import files
from stnlab.data.mimic.variables import NUM_HOURS, NUM_VARIABLES, VARIABLES, Variable
from stnlab.errors import UserError, did_you_mean

HourlyValues = NDArray[np.float32]

_MAX_BYTES = 100_000_000  # of a packed file; the largest of the benchmark have some 1 MB
_EPS = 1e-6  # the benchmark's, in hours
_MAX = float(np.finfo(np.float32).max)
_NUM_FIELDS = 1 + NUM_VARIABLES
# The others are cleaned, and hold numbers as Python writes them.
_UNCLEANED = ("Heart Rate", "Mean blood pressure", "Respiratory rate")
_DECORATED = re.compile(r"[<>=~ ]*([+-]?(?:\d+\.?\d*|\.\d+))(?: */.*|[^\d.]*)", re.ASCII)
_PLACES = {variable.name: place for place, variable in enumerate(VARIABLES)}
_IS_CATEGORICAL = np.array([bool(variable.categories) for variable in VARIABLES])

REMEDY = (
    "Make the episode again with mimic3-benchmarks' create_in_hospital_mortality, or take the stay "
    "off its list."
)


def read_hours(
    folder: Path, names: Sequence[str], on_content: Callable[[str, bytes], None], chunk: int = 64
) -> HourlyValues:
    """Hourly values (N, 48, 17) of the files ``names`` in ``folder``.

    ``on_content`` is shown each file's name and bytes, in order. ``chunk`` files are parsed at
    once; 64 of them stay in a processor's cache.

    Raises:
        UserError: at the first file that the benchmark has no rule for.
    """
    hours = np.empty((len(names), NUM_HOURS, NUM_VARIABLES), np.float32)
    for begin in range(0, len(names), chunk):
        paths = [folder / name for name in names[begin : begin + chunk]]
        contents = [content_of(path) for path in paths]
        for path, content in zip(paths, contents, strict=True):
            on_content(path.name, content)
        found = hours_of_many(contents)
        if found is None:  # look at each alone, so that one odd file does not slow the others
            found = np.concatenate([_hours_of(*pair) for pair in zip(paths, contents, strict=True)])
        hours[begin : begin + chunk] = found
    return hours


def _hours_of(path: Path, content: bytes) -> HourlyValues:
    found = hours_of_many([content])
    return hours_of_one(path, content)[None] if found is None else found


def content_of(path: Path, remedy: str = REMEDY) -> bytes:
    """A file's bytes; unpacked where it, or what stands in its place, is packed with gzip.

    ``remedy`` is for the message; an episode's, where none is given.

    Raises:
        UserError: when it cannot be read.
    """
    try:
        content = files.content_of(path, _MAX_BYTES + 1)
    except OSError as error:
        named = error.filename or path
        raise UserError(f"{named} cannot be read: {error.strerror or error}. {remedy}") from error
    if len(content) > _MAX_BYTES:
        raise UserError(f"{path} has more than {_MAX_BYTES:,} bytes. {remedy}")
    return content


# -- Field by field ------------------------------------------------------------------------------


def hours_of_one(path: Path, content: bytes) -> HourlyValues:
    """Hourly values (48, 17) of one file; ``path`` is for the messages.

    Raises:
        UserError: naming file, line, column, what was found and what to do.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content.count(b"\n", 0, error.start)
        raise UserError(
            f"{path}, line {before + 1}: the byte 0x{content[error.start]:02x} is not UTF-8 text. "
            f"{REMEDY}"
        ) from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    header = _checked_header(path, lines[0])
    if len(lines) == 1:
        raise UserError(f"{path} has a header and no rows: nothing was measured. {REMEDY}")
    hours = np.full((NUM_HOURS, NUM_VARIABLES), np.nan, np.float32)
    previous = -math.inf
    for number, line in enumerate(lines[1:], start=2):
        fields = line.strip().split(",") if '"' not in line else next(csv.reader([line.strip()]))
        if len(fields) != len(header):
            raise UserError(
                f"{path}, line {number}: {_counted(fields)} where the header has {len(header)}; "
                f"the file may have been cut off. {REMEDY}"
            )
        hour = _number(path, number, "Hours", fields[0])
        if not previous < hour + _EPS:
            raise UserError(
                f"{path}, line {number}, column 'Hours': {fields[0]} comes after {previous}; rows "
                f"must be in the order of time. Sort them. {REMEDY}"
            )
        previous = hour
        if hour > NUM_HOURS + _EPS:
            continue
        place = int(hour - _EPS)
        if not 0 <= place < NUM_HOURS:
            raise UserError(
                f"{path}, line {number}, column 'Hours': {fields[0]} lies outside of the "
                f"{NUM_HOURS} hours after admission. {REMEDY}"
            )
        for name, field in zip(header[1:], fields[1:], strict=True):
            if field:
                channel = _PLACES[name]
                value = _value(path, number, VARIABLES[channel], field)
                if not math.isnan(value):
                    hours[place, channel] = value
    return hours


def _counted(fields: list[str]) -> str:
    if fields == [""]:
        return "an empty line"
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"


def _checked_header(path: Path, line: str) -> list[str]:
    """The header's names: ``Hours`` and, in any order, each variable once."""
    if not line.strip():
        raise UserError(f"{path} is empty, or begins with an empty line. {REMEDY}")
    names = line.strip().split(",")
    if names[0] != "Hours":
        raise UserError(
            f"{path}, line 1: the header begins with {names[0]!r}, not with 'Hours'. {REMEDY}"
        )
    for name in names[1:]:
        if name not in _PLACES:
            raise UserError(
                f"{path}, line 1: the column {name!r} is none of the benchmark's 17 variables."
                f"{did_you_mean(name, _PLACES)} {REMEDY}"
            )
        if names.count(name) > 1:
            raise UserError(f"{path}, line 1: the column {name!r} stands there twice. {REMEDY}")
    missing = [name for name in _PLACES if name not in names]
    if missing:
        raise UserError(
            f"{path}, line 1: the header lacks {', '.join(map(repr, missing))}. A variable that "
            f"was never measured still has its (empty) column. {REMEDY}"
        )
    return names


def _number(path: Path, line: int, column: str, field: str) -> float:
    """A finite number as Python, and so the benchmark, reads it."""
    try:
        number = float(field)
    except ValueError:
        found = repr(field) if field else "nothing"
        raise UserError(
            f"{path}, line {line}, column {column!r}: {found} is not a number. {REMEDY}"
        ) from None
    if not abs(number) <= _MAX:
        raise UserError(
            f"{path}, line {line}, column {column!r}: {field} is not a finite float32; a missing "
            f"value is an empty field. {REMEDY}"
        )
    return number


def _value(path: Path, line: int, variable: Variable, field: str) -> float:
    """A value, or NaN where the text says that nothing was measured."""
    if not variable.categories:
        if variable.name in _UNCLEANED:
            field = _undecorated(field)
        return _number(path, line, variable.name, field) if field else math.nan
    category = category_of(variable, field)
    if category is None and field == "None":
        return math.nan
    if category is None:
        raise UserError(
            f"{path}, line {line}, column {variable.name!r}: {field!r} is none of its categories "
            f"({', '.join(variable.categories)})."
            f"{did_you_mean(field, variable.categories)} {REMEDY}"
        )
    return category


def _undecorated(field: str) -> str:
    """The number in a text, or an empty string; a text without such a rule stays as it is."""
    try:
        float(field)
    except ValueError:
        if not any(letter.isdecimal() for letter in field):
            return ""
        found = _DECORATED.fullmatch(field)
        return found[1] if found else field
    return field


def category_of(variable: Variable, field: str) -> int | None:
    """The place of ``field`` among the categories, or None.

    A category that is a number may be written otherwise (``15.0`` for ``15``, ``1`` for ``1.0``):
    the benchmark's discretizer stops at such a file, which pandas writes when a column has gaps.
    """
    if field in variable.categories:
        return variable.categories.index(field)
    try:
        number = float(field)
        return [float(each) for each in variable.categories].index(number)
    except ValueError:  # either side is a text, or the number is not among them
        return None


# -- Many files at once --------------------------------------------------------------------------

_WIDTH = 24  # bytes; the longest category has 23, the longest float that Python writes 24
_COMMA, _NEWLINE = ord(","), ord("\n")
_USUAL_BYTES = bytes(byte for byte in range(128) if chr(byte).isalnum() or chr(byte) in ",.+-/ \n")
# Row n keeps the first n bytes of a field of _WIDTH bytes, seen as three words.
_FIRST_BYTES = np.where(np.arange(_WIDTH) < np.arange(_WIDTH + 1)[:, None], 255, 0)
_FIRST_BYTES = _FIRST_BYTES.astype(np.uint8).view(np.uint64)


def hours_of_many(contents: Sequence[bytes]) -> HourlyValues | None:
    """Hourly values (N, 48, 17) of N files, or None when any of them needs a closer look."""
    bodies, orders = [], []
    for content in contents:
        header, _, body = content.partition(b"\n")
        order = _field_channels(header)
        if order is None or not body:
            return None
        bodies.append(body if body.endswith(b"\n") else body + b"\n")
        orders.append(order)
    text = b"".join(bodies)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
        bodies = [body.replace(b"\r\n", b"\n") for body in bodies]
    if text.translate(None, _USUAL_BYTES):
        return None

    num_lines = np.array([body.count(b"\n") for body in bodies])
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero((data == _COMMA) | (data == _NEWLINE))
    if len(ends) != _NUM_FIELDS * num_lines.sum():
        return None
    if (data[ends[_NUM_FIELDS - 1 :: _NUM_FIELDS]] != _NEWLINE).any():
        return None
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts

    # Every _WIDTH bytes of the text, from each of its bytes on: a field is one of them, cut.
    padded = np.ndarray(len(text), f"S{_WIDTH}", buffer=text + bytes(_WIDTH), strides=(1,))

    def fields(which: NDArray[np.int64]) -> NDArray[np.bytes_]:
        words = padded[starts[which]].view(np.uint64).reshape(-1, _WIDTH // 8)
        words &= _FIRST_BYTES[lengths[which]]
        return words.view(f"S{_WIDTH}").ravel()

    first_fields = np.arange(0, len(ends), _NUM_FIELDS)
    episode = np.repeat(np.arange(len(contents)), num_lines)
    bins = _bins(fields, first_fields, lengths, episode)
    if bins is None:
        return None
    filled = lengths > 0
    filled[first_fields] = False
    filled &= np.repeat(bins < NUM_HOURS, _NUM_FIELDS)
    which = np.flatnonzero(filled)
    if lengths[which].max(initial=0) > _WIDTH:
        return None
    line, field = np.divmod(which, _NUM_FIELDS)
    channel = np.stack(orders)[episode[line], field]
    values = _values(fields(which), channel)
    if values is None:
        return None
    hours = np.full((len(contents), NUM_HOURS, NUM_VARIABLES), np.nan, np.float32)
    # Where a place comes several times, NumPy leaves the last value there.
    hours.reshape(-1)[(episode[line] * NUM_HOURS + bins[line]) * NUM_VARIABLES + channel] = values
    return hours


@functools.lru_cache(maxsize=1024)
def _field_channels(header: bytes) -> NDArray[np.int64] | None:
    """For each field of a line the place of its variable (-1 for Hours); None if not as usual."""
    names = header.removesuffix(b"\r").decode("utf-8", "replace").split(",")
    if names[0] != "Hours" or sorted(names[1:]) != sorted(_PLACES):
        return None
    return np.array([-1, *(_PLACES[name] for name in names[1:])])


def _bins(
    fields: Callable[[NDArray[np.int64]], NDArray[np.bytes_]],
    first_fields: NDArray[np.int64],
    lengths: NDArray[np.int64],
    episode: NDArray[np.int64],
) -> NDArray[np.int64] | None:
    """The bin of each line, NUM_HOURS for lines after the last; None if not as usual."""
    if lengths[first_fields].max() > _WIDTH:
        return None
    hours = _numbers(fields(first_fields))
    if hours is None:
        return None
    in_order = (hours[:-1] < hours[1:] + _EPS) | (episode[:-1] != episode[1:])
    after = hours > NUM_HOURS + _EPS
    bins = np.where(after, 0, np.maximum(hours - _EPS, -1)).astype(np.int64)
    if not in_order.all() or bins.min() < 0 or bins.max() >= NUM_HOURS:
        return None
    bins[after] = NUM_HOURS
    return bins


def _numbers(fields: NDArray[np.bytes_]) -> NDArray[np.float64] | None:
    try:
        numbers = fields.astype(np.float64)  # as Python's float, correctly rounded
    except ValueError:
        return None
    return numbers if (np.abs(numbers) <= _MAX).all() else None


def _values(fields: NDArray[np.bytes_], channel: NDArray[np.int64]) -> NDArray[np.float32] | None:
    values = np.empty(len(fields), np.float32)
    continuous = ~_IS_CATEGORICAL[channel]
    numbers = _numbers(fields[continuous])
    if numbers is None:
        return None
    values[continuous] = numbers
    categorical = np.flatnonzero(~continuous)
    fields, channel = fields[categorical], channel[categorical]
    for place, (names, categories) in _SORTED_CATEGORIES.items():
        here = np.flatnonzero(channel == place)
        nearest = np.searchsorted(names, fields[here]).clip(max=len(names) - 1)
        if (names[nearest] != fields[here]).any():
            return None
        values[categorical[here]] = categories[nearest]
    return values


def _sorted_categories(variable: Variable) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """The usual spellings, sorted, and the place of each among the categories."""
    spellings = {name: place for place, name in enumerate(variable.categories)}
    for name, place in list(spellings.items()):
        if name.isdecimal():
            spellings[f"{name}.0"] = place
    names = sorted(spellings)
    return (
        np.array(names, dtype=f"S{_WIDTH}"),
        np.array([spellings[name] for name in names]),
    )


_SORTED_CATEGORIES = {
    place: _sorted_categories(variable)
    for place, variable in enumerate(VARIABLES)
    if variable.categories
}

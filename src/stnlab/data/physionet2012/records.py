"""From the text of the challenge's files to hourly values and labels.

A record, ``132539.txt``, is a CSV file: ``Time,Parameter,Value``, a row for each value. What occurs
in sets a and b, and is read so:

- The rows at 00:00 hold RecordID, the descriptors and often measurements too, in any order.
- -1 stands for unknown. It is out of range, and so missing, as is any other implausible value.
- A time may have several values of a variable, and an hour many: the last row's stays, if it is
  plausible.
- 48:00 itself occurs, and belongs to the last hour.
- Large values are written ``1.422e+04``.
- A record may hold descriptors alone (140501, 140936, 141264; 142731, 142998, 143656, 145611,
  147514, 150309, 150649), or just one row more (139060). It is a stay as any other.
- One stay (in set b) has two weights at 00:00; its descriptor is the first.

A row without a parameter's name, as other readers of the challenge have met, says nothing and is
left out.
"""

import re

import numpy as np
from numpy.typing import NDArray

from stnlab.data.physionet2012.variables import CODES, DESCRIPTORS, NUM_HOURS, RANGES, VARIABLES
from stnlab.errors import UserError, did_you_mean

_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
_HEADER = ("Time", "Parameter", "Value")
_OUTCOMES_HEADER = ("RecordID", "SAPS-I", "SOFA", "Length_of_stay", "Survival", "In-hospital_death")
_MINUTES = {f"{at // 60:02d}:{at % 60:02d}": at for at in range(60 * NUM_HOURS + 1)}
_STATIC = ("RecordID", *(name for name in DESCRIPTORS if name not in VARIABLES))
_NAMES = (*VARIABLES, *_STATIC)
_PLACES = {name: place for place, name in enumerate(_NAMES)}
_RECORD_ID = _PLACES["RecordID"]
_LOW, _HIGH = np.array([RANGES.get(name, (0, np.inf)) for name in _NAMES], np.float64).T
_TIME = re.compile(r"\d{1,9}:[0-5]\d", re.ASCII)


def stay_values(
    where: str, stay: str, content: bytes, remedy: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hourly values (48, 37) and descriptors (5,) of the record ``stay``, NaN where missing.

    ``where`` names the file in messages, ``remedy`` ends them.

    Raises:
        UserError: naming file, line, column, what was found and what to do.
    """
    lines = _lines(where, content, _HEADER, remedy)
    minutes, places, numbers = _rows(where, lines, remedy)
    _require_sense(where, lines, (minutes, places, numbers), remedy)
    _require_record_id(where, stay, numbers[places == _RECORD_ID], remedy)

    # Where a place comes several times, NumPy leaves the last value there.
    plausible = (_LOW[places] <= numbers) & (numbers <= _HIGH[places]) & (places >= 0)
    timed = plausible & (places < len(VARIABLES))
    values = np.full((NUM_HOURS, len(VARIABLES)), np.nan, np.float32)
    hours = np.minimum(minutes // 60, NUM_HOURS - 1)
    values[hours[timed], places[timed]] = numbers[timed]

    descriptors = np.full(len(DESCRIPTORS), np.nan, np.float32)
    for channel, name in enumerate(DESCRIPTORS):
        given = np.flatnonzero((places == _PLACES[name]) & (minutes == 0))
        if len(given) and plausible[given[0]]:
            descriptors[channel] = numbers[given[0]]
    return values, descriptors


def _rows(
    where: str, lines: list[str], remedy: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Minute, place of the parameter (-1 for none) and number of each line."""
    minutes, places, numbers = [], [], []
    for number, line in enumerate(lines, start=2):
        try:
            time, name, field = line.split(",")
            row = _MINUTES[time], _PLACES[name], float(field)
        except (KeyError, ValueError):
            row = _minute_of_nameless(f"{where}, line {number}", line, remedy), -1, 0.0
        minutes.append(row[0])
        places.append(row[1])
        numbers.append(row[2])
    return np.array(minutes, np.int64), np.array(places, np.int64), np.array(numbers, np.float64)


def outcomes(where: str, content: bytes, remedy: str) -> dict[str, int]:
    """The label of each stay, 1 for a death in hospital, in the file's order.

    Raises:
        UserError: naming file, line, column, what was found and what to do.
    """
    labels: dict[str, int] = {}
    for number, line in enumerate(_lines(where, content, _OUTCOMES_HEADER, remedy), start=2):
        at = f"{where}, line {number}"
        fields = line.split(",")
        _require_count(at, line, len(_OUTCOMES_HEADER), remedy)
        stay, label = fields[0], fields[-1]
        if not (stay.isascii() and stay.isdecimal()):
            raise UserError(f"{at}, column 'RecordID': {stay!r} is not a record's number. {remedy}")
        if label not in _LABELS:
            raise UserError(
                f"{at}, column 'In-hospital_death': {label!r} is neither 0 (left the hospital "
                f"alive) nor 1 (died there). {remedy}"
            )
        if stay in labels:
            first = list(labels).index(stay) + 2
            raise UserError(
                f"{at}, column 'RecordID': {stay} is listed twice, first in line {first}. Take one "
                "of the two lines out."
            )
        labels[stay] = _LABELS[label]
    if not labels:
        raise UserError(f"{where} lists no stay. {remedy}")
    return labels


def _lines(where: str, content: bytes, header: tuple[str, ...], remedy: str) -> list[str]:
    """The lines under the header, without line breaks."""
    if not content.strip():
        raise UserError(f"{where} is empty. {remedy}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{where}, line {line}: the byte 0x{content[error.start]:02x} is not UTF-8 text. "
            f"{remedy}"
        ) from error
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0] != ",".join(header):
        raise UserError(
            f"{where}, line 1: the header is {_shortened(lines[0])}, not {','.join(header)!r}. "
            f"{remedy}"
        )
    while len(lines) > 2 and not lines[-1] and not lines[-2].strip():  # blank lines at the end
        lines.pop()
        lines[-1] = ""
    if lines[-1]:  # its number may have lost digits
        raise UserError(
            f"{where}, line {len(lines)}: {_shortened(lines[-1])} ends without a line break; the "
            f"file may have been cut off. {remedy}"
        )
    return lines[1:-1]


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")


def _require_count(at: str, line: str, expected: int, remedy: str) -> None:
    found = line.count(",") + 1
    if found != expected:
        what = f"{_shortened(line)} has {found} field{'s' * (found > 1)}"
        raise UserError(
            f"{at}: {what if line else 'an empty line'} where the header has {expected}; the file "
            f"may have been cut off or edited. {remedy}"
        )


def _minute_of_nameless(at: str, line: str, remedy: str) -> int:
    """The time of a line without a parameter's name; any other unreadable one is refused."""
    _require_count(at, line, len(_HEADER), remedy)
    time, name, field = line.split(",")
    if time not in _MINUTES:
        if _TIME.fullmatch(time):
            raise UserError(
                f"{at}, column 'Time': {time} lies outside of the {NUM_HOURS} hours after "
                f"admission. {remedy}"
            )
        raise UserError(f"{at}, column 'Time': {time!r} is not a time, as 07:30 is. {remedy}")
    if name and name not in _PLACES:
        raise UserError(
            f"{at}, column 'Parameter': {name!r} is none of the challenge's "
            f"{len(_PLACES)} parameters.{did_you_mean(name, _PLACES)} {remedy}"
        )
    if name or field:
        try:
            float(field)
        except ValueError:
            found = repr(field) if field else "nothing"
            raise UserError(
                f"{at}, column 'Value': {found} is not a number; unknown is written -1. {remedy}"
            ) from None
    return _MINUTES[time]


def _require_sense(
    where: str,
    lines: list[str],
    rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    remedy: str,
) -> None:
    """Refuse the first row whose fields are well written, but cannot be."""
    minutes, places, numbers = rows
    faults = {
        "finite": ~np.isfinite(numbers),
        "order": np.diff(minutes, prepend=0) < 0,
        "static": (places >= len(VARIABLES)) & (minutes > 0),
    }
    for name, codes in CODES.items():
        faults[name] = (places == _PLACES[name]) & ~np.isin(numbers, (-1, *codes))
    wrong = [(int(each.argmax()), fault) for fault, each in faults.items() if each.any()]
    if not wrong:
        return
    row, fault = min(wrong)
    time, name, field = lines[row].split(",")
    at = f"{where}, line {row + 2}"
    if fault == "finite":
        message = f"column 'Value': {field} is not a finite number; unknown is written -1."
    elif fault == "order":
        message = f"column 'Time': {time} is earlier than the line before; rows go by time."
    elif fault == "static":
        message = f"column 'Time': {name} stands at {time}, not at 00:00, the admission."
    else:
        allowed = ", ".join(map(str, CODES[name]))
        message = f"column 'Value': {name} is {field}, none of {allowed}, or -1 for unknown."
    raise UserError(f"{at}, {message} {remedy}")


def _require_record_id(where: str, stay: str, found: NDArray[np.float64], remedy: str) -> None:
    if not len(found):
        raise UserError(f"{where} has no row RecordID, which each record begins with. {remedy}")
    others = found[found != int(stay)]
    if len(others):
        raise UserError(
            f"{where}: its RecordID is {others[0]:.0f}, but the file's name says {stay}; was it "
            f"renamed? {remedy}"
        )

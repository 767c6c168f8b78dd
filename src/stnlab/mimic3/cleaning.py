"""What a value of an event means: from its text to what the episode's file holds.

The benchmark's rules, quirks included: a fraction of oxygen is divided by 100 even when it is one
already, a temperature of 79 or more is taken for Fahrenheit whatever its unit says, and nothing is
out of range. Where the benchmark stops at a text that is no number, the value is refused.
"""

import math
import re
from enum import IntEnum

from stnlab.mimic3.items import RULES


class Written(IntEnum):
    """How a column of values was read, and so how a value of it is written."""

    text = 0  # as it stands
    whole = 1  # as an integer
    decimal = 2  # as a float


UNITS = ("oz", "lb", "in", "torr")  # parts of a unit that matter, each a bit

_REFILL = {"Normal <3 secs": 0.0, "Brisk": 0.0, "Abnormal >3 secs": 1.0, "Delayed": 1.0}
_LABORATORY = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
_PRESSURES = re.compile(r"([0-9]+)/([0-9]+)")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_NEEDS_QUOTES = re.compile(r'[,"\r\n]')

Value = str | int | float


def unit_bits(unit: str) -> int:
    """Which of :data:`UNITS` a row's unit contains, in whatever case."""
    lower = unit.lower()
    return sum(1 << place for place, part in enumerate(UNITS) if part in lower)


def retyped(text: str, *written: Written) -> Value:
    """A value's text as the columns that it went through have left it, one after the other."""
    value: Value = text
    for each in written:
        if each is not Written.text:
            value = int(value) if each is Written.whole else float(value)
        elif not isinstance(value, str):
            value = repr(value)
    return value


def cleaned(variable: str, label_unit: str, bits: int, value: Value) -> Value | None:
    """A variable's value; None where it is refused.

    Args:
        variable: its name.
        label_unit: the unit in the item's label, or an empty string.
        bits: :func:`unit_bits` of the row's unit.
        value: a text, or a number where the subject's column of values is one of numbers.
    """
    rule = RULES.get(variable)
    if rule is None:
        return _LINE_BREAK.sub(" ", value) if isinstance(value, str) else value
    if rule == "refill":
        return _REFILL.get(value) if isinstance(value, str) else None
    if isinstance(value, str):
        if rule in ("systolic", "diastolic") and "/" in value:
            pair = _PRESSURES.fullmatch(value)
            return None if pair is None else float(pair[1 if rule == "systolic" else 2])
        if rule in ("laboratory", "saturation") and not _LABORATORY.fullmatch(value):
            return None
    try:
        number = float(value)
    except ValueError:
        return None
    return None if math.isnan(number) else _converted(rule, label_unit, bits, number)


def _converted(rule: str, label_unit: str, bits: int, number: float) -> float:
    """A number in the unit of the benchmark's column."""

    def says(unit: str) -> bool:
        return label_unit == unit or bool(bits >> UNITS.index(unit) & 1)

    if rule == "fraction":
        return number if says("torr") else number / 100
    if rule == "saturation":
        return number * 100 if number <= 1 else number
    if rule == "temperature":
        return (number - 32) * 5 / 9 if number >= 79 else number
    if rule == "weight":
        if says("oz"):
            return number / 16 * 0.453592
        return number * 0.453592 if says("lb") else number
    if rule == "height" and says("in") and math.isfinite(number):
        return float(round(number * 2.54))
    return number


def rank(value: Value) -> tuple[bool, Value, float]:
    """Orders values: of several at one moment the largest stays. Texts are above all numbers."""
    is_text = isinstance(value, str)
    return is_text, value, 0.0 if isinstance(value, str) else math.copysign(1, value)


def field(value: Value) -> str:
    """A value as a field of a CSV file."""
    text = value if isinstance(value, str) else repr(value)
    if _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text

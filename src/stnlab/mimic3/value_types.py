"""Whether the values of a subject are numbers or texts, as the benchmark's pandas found them.

VALUE is a column of many kinds of items, and pandas takes it for one of numbers only where all of
it is; then ``98`` becomes ``98.0`` and rules for texts do not apply. The benchmark reads each
subject's rows twice: all of them, then those that validation has left. A column longer than
:data:`PIECE` is typed piece by piece. So a value went through two columns, and each may have
rewritten it (:class:`~stnlab.mimic3.cleaning.Written`).
"""

import re
from collections import defaultdict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stnlab.mimic3.cleaning import Written
from stnlab.mimic3.tables import MISSING as TOKENS

PIECE = 131_072  # rows
# What is seen of the values of a piece, as bits.
MISSING, WHOLE, DECIMAL, TEXT = 1, 2, 4, 8
_NUMBER = re.compile(r" *[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf) *", re.ASCII)
_WHOLE = re.compile(r" *[+-]?\d+ *", re.ASCII)
_PLACE = 1 << 16  # of a piece in a key; more than any subject has
_COMPACT_ROWS = 1 << 20


class ValueTypes:
    """What was seen of each subject's values, gathered in the order of the tables' rows."""

    def __init__(self, num_subjects: int) -> None:
        self._num_before = np.zeros(num_subjects, np.int64)
        self._num_after = np.zeros(num_subjects, np.int64)
        self._seen: list[pl.DataFrame] = []
        self._num_rows = 0

    def add(
        self, subjects: NDArray[np.int32], survive: NDArray[np.bool_], bits: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take in further rows; returns the piece of each in the first and the second column.

        Args:
            subjects: (N,) the place of each row's subject.
            survive: (N,) whether it is in the second column, too; its piece there is 0 otherwise.
            bits: (N,) what its value is.
        """
        first = _pieces(subjects, self._num_before)
        second = np.zeros_like(first)
        second[survive] = _pieces(subjects[survive], self._num_after)
        key = ((subjects.astype(np.int64) * _PLACE + first) * _PLACE + second) * 2 + survive
        self._seen.append(_joined(pl.DataFrame({"key": key, "bits": bits})))
        self._num_rows += len(self._seen[-1])
        if self._num_rows > _COMPACT_ROWS:
            self._seen = [_joined(pl.concat(self._seen))]
            self._num_rows = 0
        return first, second

    def rewritten(self) -> dict[int, dict[tuple[int, int], tuple[Written, Written]]]:
        """For each subject whose values do not stay as they are, by pieces, how they are written.

        Call it when all rows are in.
        """
        by_subject: dict[int, list[tuple[int, int, bool, int]]] = defaultdict(list)
        if self._seen:
            for key, bits in _joined(pl.concat(self._seen)).iter_rows():
                pieces, survives = divmod(key, 2)
                rest, second = divmod(pieces, _PLACE)
                subject, first = divmod(rest, _PLACE)
                by_subject[subject].append((first, second, bool(survives), bits))
        found = {subject: _written(rows) for subject, rows in by_subject.items()}
        as_they_are = {(Written.text, Written.text)}
        return {
            subject: written
            for subject, written in found.items()
            if not {*written.values()} <= as_they_are
        }


def bits_of_text(text: str) -> int:
    """What a value is that no quick look tells."""
    if text in TOKENS:
        return MISSING
    if not _NUMBER.fullmatch(text):
        return TEXT
    return WHOLE if _WHOLE.fullmatch(text) else DECIMAL


def _joined(seen: pl.DataFrame) -> pl.DataFrame:
    return seen.group_by("key").agg(pl.col("bits").bitwise_or())


def _pieces(subjects: NDArray[np.int32], num_rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The piece of each row, given how many rows each subject had before; counts them on."""
    counts = np.bincount(subjects, minlength=len(num_rows))
    pieces = np.zeros(len(subjects), np.int64)
    for subject in np.flatnonzero((counts > 0) & (num_rows + counts > PIECE)):
        here = np.flatnonzero(subjects == subject)
        pieces[here] = (num_rows[subject] + np.arange(len(here))) // PIECE
    num_rows += counts
    return pieces


def _written(
    rows: list[tuple[int, int, bool, int]],
) -> dict[tuple[int, int], tuple[Written, Written]]:
    """Of one subject's (first piece, second piece, survives, bits)."""
    of_first: dict[int, int] = defaultdict(int)
    for first, _, _, bits in rows:
        of_first[first] |= bits
    in_first = _column(of_first)
    of_second: dict[int, int] = defaultdict(int)
    for first, second, survives, bits in rows:
        if survives:
            of_second[second] |= _after(in_first[first], bits)
    in_second = _column(of_second)
    if Written.text not in in_second.values():
        in_second = dict.fromkeys(in_second, Written.decimal)
    return {
        (first, second): (in_first[first], in_second[second])
        for first, second, survives, _ in rows
        if survives
    }


def _column(pieces: dict[int, int]) -> dict[int, Written]:
    """How each piece of a column is written; where none is text, all are alike."""
    if not any(bits & TEXT for bits in pieces.values()):
        whole = all(bits == WHOLE for bits in pieces.values())
        return dict.fromkeys(pieces, Written.whole if whole else Written.decimal)
    return {
        piece: Written.text if bits & TEXT else Written.whole if bits == WHOLE else Written.decimal
        for piece, bits in pieces.items()
    }


def _after(written: Written, bits: int) -> int:
    """What the values of a piece are once they have been written so."""
    if written is Written.decimal and bits & (WHOLE | DECIMAL):
        return bits & MISSING | DECIMAL
    return bits

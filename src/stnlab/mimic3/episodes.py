"""From the rows of some subjects to their episodes' files.

Of several values of a variable at one moment the largest stays, whatever the stay; an episode has a
line for each moment at which its stay was measured, and for each within its window, in hours from
its begin.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stnlab.mimic3 import cleaning
from stnlab.mimic3.cleaning import Written
from stnlab.mimic3.cohort import Stay
from stnlab.mimic3.events import KINDS_OF_VARIABLE, parts_of_kind
from stnlab.mimic3.items import NAMES

HEADER = ",".join(["Hours", *NAMES])
MORTALITY = "in-hospital-mortality"
EPISODES = "episodes"
_EPS = 1e-6  # hours
_HOURS = 48
_SECOND = 1e6  # in microseconds


@dataclass(frozen=True)
class Share:
    """Subjects whose episodes are made together.

    ``first_subject`` and ``first_stay`` are their first places in the cohort; ``slices`` name each
    file of rows, where theirs begin, and how many there are.
    """

    first_subject: int
    first_stay: int
    stays: list[list[Stay]]
    parts: list[str]  # of each subject: train or test
    slices: list[tuple[Path, int, int]]
    written: dict[int, dict[tuple[int, int], tuple[Written, Written]]]


@dataclass
class Made:
    """What came of a share.

    ``sha256`` of each file that was written, by its path within the output; ``with_rows`` are the
    stays that have an episode.
    """

    sha256: dict[str, str] = field(default_factory=dict)
    with_rows: set[str] = field(default_factory=set)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    line_breaks: int = 0
    num_rows: int = 0

    def add(self, other: "Made") -> None:
        """Take in what came of another share."""
        self.sha256 |= other.sha256
        self.with_rows |= other.with_rows
        self.refused += other.refused
        self.line_breaks += other.line_breaks
        self.num_rows += other.num_rows


def make_episodes(share: Share, out: Path, *, whole: bool) -> Made:
    """Write the files of a share to ``out``; ``whole`` asks for the whole stays, too.

    Raises:
        OSError: when they cannot be written.
    """
    made = Made()
    rows = _read(share)
    made.num_rows = len(rows)
    if not made.num_rows:
        return made
    rows, texts = _cleaned(rows, share, made)
    moments = _Moments(rows, texts)
    bounds = moments.bounds_of(range(share.first_subject, share.first_subject + len(share.stays)))
    stay_place = share.first_stay
    for own, part, begin, end in zip(
        share.stays, share.parts, bounds[:-1], bounds[1:], strict=True
    ):
        for stay in own:
            _write(moments, slice(begin, end), stay_place, stay, part, out, made, whole)
            stay_place += 1
    return made


def _read(share: Share) -> pl.DataFrame:
    frames = [
        pl.scan_ipc(path, glob=False, hive_partitioning=False).slice(begin, length).collect()
        for path, begin, length in share.slices
        if length
    ]
    return pl.concat(frames) if frames else pl.DataFrame()


# -- Values --------------------------------------------------------------------------------------


def _cleaned(rows: pl.DataFrame, share: Share, made: Made) -> tuple[pl.DataFrame, list[str]]:
    """Rows with ``code``, without those refused, and the text that each code stands for.

    Codes of one variable are in the order of its values, so that the largest stays.
    """
    rows = _with_mode(rows, share)
    keys = ["kind", "value", "mode"]
    distinct = rows.group_by(keys).len()
    found: dict[str, list[tuple[tuple[bool, cleaning.Value, float], int]]] = defaultdict(list)
    fields: list[str] = []
    for place, (kind, text, mode, count) in enumerate(distinct.iter_rows()):
        variable, label, bits = parts_of_kind(kind)
        first, second = divmod(mode, len(Written))
        raw = cleaning.retyped(text, Written(first), Written(second))
        value = cleaning.cleaned(variable, label, bits, raw)
        if value is None:
            made.refused[variable, str(raw)] += count
            fields.append("")
            continue
        if isinstance(value, str) and value != raw:  # the only change that a text undergoes
            made.line_breaks += count
        fields.append(cleaning.field(value))
        found[variable].append((cleaning.rank(value), place))
    codes = np.full(len(distinct), -1, np.int32)
    texts: list[str] = []
    for values in found.values():
        for _, place in sorted(values):
            codes[place] = len(texts)
            texts.append(fields[place])
    distinct = distinct.with_columns(code=pl.Series(codes))
    rows = rows.join(distinct.select(*keys, "code"), on=keys).filter(pl.col("code") >= 0)
    return rows.select("subject", "stay", "time", "kind", "code"), texts


def _with_mode(rows: pl.DataFrame, share: Share) -> pl.DataFrame:
    """Rows with ``mode``, how their value's columns were written."""
    known = [
        (subject, first, second, column[0] * len(Written) + column[1])
        for subject, written in share.written.items()
        for (first, second), column in written.items()
    ]
    if not known:
        return rows.with_columns(mode=pl.lit(0, pl.Int32))
    places = {"subject": pl.Int32, "first": pl.UInt16, "second": pl.UInt16}
    modes = pl.DataFrame(known, schema={**places, "mode": pl.Int32}, orient="row")
    return rows.join(modes, on=list(places), how="left").with_columns(pl.col("mode").fill_null(0))


class _Moments:
    """The subjects' moments in order, their values, and which stay was measured then."""

    def __init__(self, rows: pl.DataFrame, texts: list[str]) -> None:
        self._texts = np.array([*texts, ""], dtype=object)  # the last, -1, is no value
        moments = rows.select("subject", "time").unique().sort("subject", "time")
        moments = moments.with_row_index("moment")
        rows = rows.join(moments, on=["subject", "time"])
        self._codes = np.full((len(moments), len(NAMES)), -1, np.int32)
        variable = rows["kind"].to_numpy() // KINDS_OF_VARIABLE
        np.maximum.at(self._codes, (rows["moment"].to_numpy(), variable), rows["code"].to_numpy())
        # A line for each moment and stay, in this order.
        lines = rows.select("moment", "stay").unique().sort("moment", "stay")
        self._moment_of_line = lines["moment"].to_numpy()
        self.stay_of_line = lines["stay"].to_numpy()
        self.time_of_line = moments["time"].to_numpy()[self._moment_of_line]
        self._subject_of_line = moments["subject"].to_numpy()[self._moment_of_line]

    def bounds_of(self, subjects: Sequence[int]) -> NDArray[np.int64]:
        """Where each subject's lines begin, and the last one's end."""
        edges = [*subjects, subjects[-1] + 1]
        return np.searchsorted(self._subject_of_line, edges)

    def text_of(self, lines: NDArray[np.int64], hours: NDArray[np.float64]) -> list[str]:
        """The lines of an episode's file."""
        fields = self._texts[self._codes[self._moment_of_line[lines]]].tolist()
        return [
            f"{hour!r},{','.join(values)}"
            for hour, values in zip(hours.tolist(), fields, strict=True)
        ]


def _write(
    moments: _Moments,
    here: slice,
    place: int,
    stay: Stay,
    part: str,
    out: Path,
    made: Made,
    whole: bool,
) -> None:
    times = moments.time_of_line[here]
    mine = moments.stay_of_line[here] == place
    if stay.end is not None:
        mine |= (times >= stay.begin) & (times <= stay.end)
    lines = here.start + np.flatnonzero(mine)
    if not len(lines):
        return
    made.with_rows.add(stay.file_name)
    hours = (moments.time_of_line[lines] - stay.begin) / _SECOND / 60 / 60
    if whole:
        name = f"{EPISODES}/{part}/{stay.subject}/{stay.episode}"
        (out / name).parent.mkdir(exist_ok=True)
        _write_file(out, name, moments.text_of(lines, hours), made)
    if is_long_enough(stay) and stay.has_diagnoses:
        early = (hours > -_EPS) & (hours < _HOURS + _EPS)
        if early.any():
            name = f"{MORTALITY}/{part}/{stay.file_name}"
            _write_file(out, name, moments.text_of(lines[early], hours[early]), made)


def is_long_enough(stay: Stay) -> bool:
    """Whether the stay's LOS is 48 hours or more."""
    return stay.days is not None and 24 * stay.days >= _HOURS - _EPS


def _write_file(out: Path, name: str, lines: list[str], made: Made) -> None:
    content = "\n".join([HEADER, *lines, ""]).encode()
    (out / name).write_bytes(content)
    made.sha256[name] = hashlib.sha256(content).hexdigest()

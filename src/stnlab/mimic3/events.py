"""The large tables, read once: which rows count, laid on the disk by subject.

A row counts (the benchmark's ``validate_events``) where its admission is that of one of the
subject's stays, and its stay, if it names one, that stay; its time plays no part. Of those the rows
of the 114 items that have a value and a time are kept, in files that are each sorted by subject.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stnlab.mimic3.cleaning import UNITS, Written, unit_bits
from stnlab.mimic3.cohort import Stay
from stnlab.mimic3.items import ITEMS, LABEL_UNITS, NAMES
from stnlab.mimic3.moments import microseconds
from stnlab.mimic3.tables import EVENT_TABLES, MISSING, Table, batches_of
from stnlab.mimic3.value_types import DECIMAL, WHOLE, ValueTypes, bits_of_text
from stnlab.mimic3.value_types import MISSING as NO_VALUE

LABELS = ("", "oz", "lb", "in")  # units in an item's label
NUM_UNIT_BITS = 1 << len(UNITS)
KINDS_OF_VARIABLE = len(LABELS) * NUM_UNIT_BITS
_LARGEST = 9.0e18  # of what a glance takes for a number; beyond, integers need a second look

# Rows of a table, by what became of them; names as in log.json.
ROWS = (
    "read",
    "of other subjects",
    "without HADM_ID",
    "of another admission",
    "of another ICU stay",
    "valid",
    "of which ICUSTAY_ID was filled in",
    "of other items",
    "without a value",
    "without a time",
    "with a time that cannot be read",
    "with a HADM_ID that is no whole number",
    "with bytes that are not UTF-8",
    "kept",
)
# Of these, what the user should know of, and its consequence.
ODD_ROWS = {
    "without a time": "left out",
    "with a time that cannot be read": "left out",
    "with a HADM_ID that is no whole number": "left out, since it is no admission's",
    "with bytes that are not UTF-8": "a replacement character stands for them",
}


@dataclass
class Spilled:
    """The kept rows on the disk.

    ``files`` are sorted by ``subject``; the rows of subject s in the n-th are
    ``bounds[n][s]`` to ``bounds[n][s + 1]``. Columns: ``subject`` and ``stay`` (places in the
    cohort), ``time`` (microseconds), ``kind`` (see :func:`kind_of`), ``value``, and its pieces
    ``first`` and ``second`` in :mod:`~stnlab.mimic3.value_types`.
    """

    files: list[Path] = field(default_factory=list)
    bounds: list[NDArray[np.int64]] = field(default_factory=list)
    written: dict[int, dict[tuple[int, int], tuple[Written, Written]]] = field(default_factory=dict)
    rows: dict[str, Counter[str]] = field(default_factory=dict)
    odd_times: Counter[str] = field(default_factory=Counter)

    @property
    def rows_of_subjects(self) -> NDArray[np.int64]:
        """(subjects,) how many rows each has."""
        num_rows: NDArray[np.int64] = np.diff(np.stack(self.bounds), axis=1).sum(axis=0)
        return num_rows


def kind_of(item: str) -> int:
    """An item's variable and the unit in its label, in one number; a row's unit is added to it."""
    label = LABELS.index(LABEL_UNITS.get(item, ""))
    return (NAMES.index(ITEMS[item]) * len(LABELS) + label) * NUM_UNIT_BITS


def parts_of_kind(kind: int) -> tuple[str, str, int]:
    """The variable, the unit in the label and the bits of the row's unit."""
    rest, bits = divmod(kind, NUM_UNIT_BITS)
    variable, label = divmod(rest, len(LABELS))
    return NAMES[variable], LABELS[label], bits


def spill(
    tables: Mapping[str, Table],
    stays: Sequence[Sequence[Stay]],
    folder: Path,
    *,
    batch_rows: int,
    file_rows: int,
    on_rows: Callable[[str, int], None],
) -> Spilled:
    """Read the tables of events and write the kept rows to ``folder``.

    Args:
        tables: by name.
        stays: of each subject.
        folder: is there, and empty.
        batch_rows: how many rows are looked at together.
        file_rows: how many kept rows go into a file, about.
        on_rows: told, after each batch, the table's name and how many rows of it have been read.

    Raises:
        UserError: when a table is damaged.
        OSError: when the folder cannot be written.
    """
    scan = _Scan(stays, folder, file_rows)
    for name in EVENT_TABLES:
        counts = scan.spilled.rows[name] = Counter(dict.fromkeys(ROWS, 0))
        for batch in batches_of(tables[name], batch_rows):
            scan.take(batch, counts)
            on_rows(name, counts["read"])
    scan.write()
    scan.spilled.written = scan.types.rewritten()
    return scan.spilled


class _Scan:
    """What is looked up in every batch, and what is not yet on the disk."""

    def __init__(self, stays: Sequence[Sequence[Stay]], folder: Path, file_rows: int) -> None:
        flat = [(place, stay) for place, own in enumerate(stays) for stay in own]
        self._subjects = _lookup("SUBJECT_ID", "subject", [own[0].subject for own in stays])
        self._stays = _lookup("HADM_ID", "stay", [stay.admission for _, stay in flat])
        self._stays = self._stays.with_columns(
            owner=pl.Series([place for place, _ in flat], dtype=pl.Int32),
            icustay=pl.Series([stay.icustay for _, stay in flat], dtype=pl.String),
        )
        self._kinds = pl.DataFrame(
            {"ITEMID": list(ITEMS), "kind": [kind_of(item) for item in ITEMS]},
            schema={"ITEMID": pl.String, "kind": pl.Int32},
        )
        self._folder, self._file_rows, self._num_subjects = folder, file_rows, len(stays)
        self._pending: list[pl.DataFrame] = []
        self._num_pending = 0
        self._bits: dict[str, int] = {}
        self.types = ValueTypes(len(stays))
        self.spilled = Spilled()

    def take(self, batch: pl.DataFrame, counts: Counter[str]) -> None:
        """Look at a batch of rows, count them, and keep those that are needed."""
        counts["read"] += len(batch)
        if "ICUSTAY_ID" not in batch.columns:
            batch = batch.with_columns(ICUSTAY_ID=pl.lit(None, pl.String))
        rows = batch.join(self._subjects, on="SUBJECT_ID", maintain_order="left")
        counts["of other subjects"] += len(batch) - len(rows)
        rows = rows.join(self._stays, on="HADM_ID", how="left", maintain_order="left")
        valid = self._valid(rows, counts)
        bits = self._bits_of(rows["VALUE"])
        first, second = self.types.add(rows["subject"].to_numpy(), valid, bits)
        rows = rows.with_columns(
            first=pl.Series(first, dtype=pl.UInt16),
            second=pl.Series(second, dtype=pl.UInt16),
            present=pl.Series(bits != NO_VALUE),
        ).filter(pl.Series(valid))
        num_valid = len(rows)
        rows = rows.join(self._kinds, on="ITEMID", maintain_order="left")
        counts["of other items"] += num_valid - len(rows)
        num_mapped = len(rows)
        rows = rows.filter("present")
        counts["without a value"] += num_mapped - len(rows)
        rows = self._with_time(rows, counts)
        counts["with bytes that are not UTF-8"] += rows.select(
            pl.any_horizontal(
                pl.col("VALUE", "VALUEUOM").str.contains("\ufffd", literal=True)
            ).sum()
        ).item()
        counts["kept"] += len(rows)
        self._pending.append(
            rows.select(
                *("subject", "stay", "time"),
                kind=pl.col("kind") + self._units(rows["VALUEUOM"]),
                value="VALUE",
                first="first",
                second="second",
            )
        )
        self._num_pending += len(rows)
        if self._num_pending >= self._file_rows:
            self.write()

    def _valid(self, rows: pl.DataFrame, counts: Counter[str]) -> NDArray[np.bool_]:
        own = (rows["owner"] == rows["subject"]).fill_null(value=False).to_numpy()
        no_admission = _is_missing(rows["HADM_ID"]) & ~own
        same = (rows["ICUSTAY_ID"] == rows["icustay"]).fill_null(value=False).to_numpy()
        filled = own & ~same & _is_missing(rows["ICUSTAY_ID"])
        valid: NDArray[np.bool_] = own & (same | filled)
        other = rows["HADM_ID"].filter(pl.Series(~own & ~no_admission))
        counts["with a HADM_ID that is no whole number"] += int(
            (~other.str.contains(r"^[0-9]+$")).sum()
        )
        counts["without HADM_ID"] += int(no_admission.sum())
        counts["of another admission"] += int((~own & ~no_admission).sum())
        counts["of another ICU stay"] += int((own & ~valid).sum())
        counts["of which ICUSTAY_ID was filled in"] += int(filled.sum())
        counts["valid"] += int(valid.sum())
        return valid

    def _bits_of(self, values: pl.Series) -> NDArray[np.uint8]:
        """What each value is: missing, whole, decimal or text."""
        number = values.cast(pl.Float64, strict=False)
        is_plain = (number.abs() < _LARGEST).fill_null(value=False)
        is_whole = values.cast(pl.Int64, strict=False).is_not_null()
        plain, whole = is_plain.to_numpy(), is_whole.to_numpy()
        bits = np.where(whole, WHOLE, DECIMAL).astype(np.uint8)
        bits[values.is_null().to_numpy()] = NO_VALUE
        odd = ~plain & (bits != NO_VALUE)
        if odd.any():
            found = values.filter(pl.Series(odd))
            distinct = found.unique()
            for text in distinct:
                if text not in self._bits:
                    self._bits[text] = bits_of_text(text)
            if len(self._bits) > 1 << 20:  # texts without end: forget, and look at each again
                known, self._bits = self._bits, {}
            else:
                known = self._bits
            new = [known[text] for text in distinct]
            bits[odd] = found.replace_strict(distinct, new, return_dtype=pl.UInt8).to_numpy()
        return bits

    def _with_time(self, rows: pl.DataFrame, counts: Counter[str]) -> pl.DataFrame:
        texts = rows["CHARTTIME"]
        usual = texts.str.len_bytes() == len("2130-02-04 04:00:00")
        rows = rows.with_columns(
            time=pl.when(usual)
            .then(texts.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"))
            .otherwise(None)
            .cast(pl.Int64)
        )
        if rows["time"].null_count():
            odd = rows.filter(pl.col("time").is_null())["CHARTTIME"].drop_nulls().unique().to_list()
            times = [None if text in MISSING else microseconds(text) for text in odd]
            rows = rows.with_columns(
                time=pl.col("time").fill_null(
                    pl.col("CHARTTIME").replace_strict(
                        pl.Series(odd, dtype=pl.String),
                        pl.Series(times, dtype=pl.Int64),
                        default=None,
                        return_dtype=pl.Int64,
                    )
                )
            )
            lost = rows.filter(pl.col("time").is_null())["CHARTTIME"]
            missing = int(_is_missing(lost).sum())
            counts["without a time"] += missing
            counts["with a time that cannot be read"] += len(lost) - missing
            self.spilled.odd_times.update(text for text in lost.drop_nulls() if text not in MISSING)
            rows = rows.filter(pl.col("time").is_not_null())
        return rows

    def _units(self, units: pl.Series) -> pl.Series:
        distinct = units.drop_nulls().unique()
        known = [0 if unit in MISSING else unit_bits(unit) for unit in distinct]
        bits = pl.Series(known, dtype=pl.Int32)
        return units.replace_strict(distinct, bits, default=0, return_dtype=pl.Int32).fill_null(0)

    def write(self) -> None:
        """Lay what is pending on the disk."""
        if not self._num_pending and self.spilled.files:
            return
        path = self._folder / f"{len(self.spilled.files):04d}.arrow"
        if self._pending:
            rows = pl.concat(self._pending).sort("subject", maintain_order=True)
        else:
            rows = pl.DataFrame(schema={"subject": pl.Int32})
        self._pending, self._num_pending = [], 0
        with path.open("wb") as file:
            rows.write_ipc(file, record_batch_size=1 << 16)
        edges = np.arange(self._num_subjects + 1)
        self.spilled.files.append(path)
        self.spilled.bounds.append(np.searchsorted(rows["subject"].to_numpy(), edges))


def _lookup(key: str, name: str, texts: Sequence[str]) -> pl.DataFrame:
    """A table from text to its place."""
    return pl.DataFrame(
        {key: list(texts), name: range(len(texts))}, schema={key: pl.String, name: pl.Int32}
    )


def _is_missing(texts: pl.Series) -> NDArray[np.bool_]:
    missing: NDArray[np.bool_] = (texts.is_null() | texts.is_in(list(MISSING))).to_numpy()
    return missing

"""MIMIC-III's tables: found in a folder, checked by their headers, read in rows or in batches."""

import contextlib
import csv
import gzip
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stnlab.errors import UserError

if TYPE_CHECKING:
    import polars as pl

_EVENT = ("SUBJECT_ID", "HADM_ID", "CHARTTIME", "ITEMID", "VALUE", "VALUEUOM")
EVENT_TABLES = ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS")  # in the benchmark's order
COLUMNS = {
    "PATIENTS": ("SUBJECT_ID", "DOB", "DOD"),
    "ADMISSIONS": ("SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME", "DEATHTIME"),
    "ICUSTAYS": (
        *("SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "FIRST_CAREUNIT", "LAST_CAREUNIT"),
        *("FIRST_WARDID", "LAST_WARDID", "INTIME", "OUTTIME", "LOS"),
    ),
    "DIAGNOSES_ICD": ("SUBJECT_ID", "HADM_ID", "ICD9_CODE"),
    "D_ICD_DIAGNOSES": ("ICD9_CODE",),
    "CHARTEVENTS": (*_EVENT, "ICUSTAY_ID"),
    "LABEVENTS": _EVENT,
    "OUTPUTEVENTS": (*_EVENT, "ICUSTAY_ID"),
}
# What counts as missing in any column. None is not among them: it is an answer of the coma scale.
MISSING = frozenset(
    (
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
        *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
    )
)
_SUFFIXES = (".csv", ".csv.gz")  # the first is taken where both are there
_OF_MIMIC_IV = {"STAY_ID", "ANCHOR_AGE", "ICD_CODE", "ICD_VERSION"}
_SAMPLE_BYTES = 1 << 20
_MAX_REASON = 200  # characters

_WHERE = (
    "MIMIC-III v1.4 has it at https://physionet.org/content/mimiciii/1.4/ (credentialed access), "
    "its open demo at https://physionet.org/content/mimiciii-demo/1.4/."
)
_AGAIN = "Get the file again, and check it against the SHA256SUMS.txt beside it."


@dataclass(frozen=True)
class Table:
    """A table's file, and the names in its header in upper case."""

    name: str
    path: Path
    header: tuple[str, ...]

    @property
    def is_packed(self) -> bool:
        return self.path.suffix.lower() == ".gz"


def find_tables(raw: Path) -> dict[str, Table]:
    """The eight tables in the folder ``raw``, headers checked.

    Raises:
        UserError: when one is missing, or the folder is of another kind or cannot be read.
    """
    if not raw.is_dir():
        found = "is a file, not a folder" if raw.exists() else "does not exist"
        raise UserError(f"RAW: {raw} {found}. Name the folder of MIMIC-III's CSV files. {_WHERE}")
    try:
        paths = _paths_in(raw)
    except OSError as error:
        raise UserError(
            f"RAW: {raw} cannot be read: {error.strerror or error}. Correct its permissions."
        ) from error
    missing = [name for name in COLUMNS if name not in paths]
    if missing:
        _raise_missing(raw, missing)
    tables = {name: Table(name, paths[name], _header_of(paths[name])) for name in COLUMNS}
    for table in tables.values():
        _require_columns(table)
    return tables


def _paths_in(folder: Path) -> dict[str, Path]:
    """The file of each table that is there."""
    files = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_file()}
    found: dict[str, Path] = {}
    for name in COLUMNS:
        for suffix in _SUFFIXES:
            path = files.get(f"{name.lower()}{suffix}")
            if path is not None:
                found.setdefault(name, path)
    return found


def _raise_missing(raw: Path, missing: Sequence[str]) -> None:
    listed = ", ".join(f"{name}.csv" for name in missing)
    if {"hosp", "icu"} <= {path.name for path in raw.iterdir() if path.is_dir()}:
        raise _mimic_iv(raw, "the folders hosp/ and icu/")
    with contextlib.suppress(OSError):  # a folder that is not ours to read
        for inner in sorted(path for path in raw.iterdir() if path.is_dir()):
            if len(_paths_in(inner)) == len(COLUMNS):
                raise UserError(f"RAW: {raw} is a folder too high; the tables are in {inner}.")
    raise UserError(
        f"RAW: {raw} lacks {listed} (or .csv.gz, in upper or lower case): {len(missing)} of "
        f"{len(COLUMNS)} tables. {_WHERE}"
    )


def _mimic_iv(where: Path, found: str) -> UserError:
    return UserError(
        f"RAW: {where} has {found}, which is MIMIC-IV. The benchmark is of MIMIC-III, with other "
        f"tables, items and patients. {_WHERE}"
    )


def _header_of(path: Path) -> tuple[str, ...]:
    with _readable(path), _text_of(path) as file:
        return tuple(name.strip().upper() for name in next(csv.reader(file), []))


def _require_columns(table: Table) -> None:
    if not table.header:
        raise UserError(f"{table.path} is empty. {_AGAIN}")
    lacking = [name for name in COLUMNS[table.name] if name not in table.header]
    if not lacking:
        return
    of_mimic_iv = [name for name in table.header if name in _OF_MIMIC_IV]
    if of_mimic_iv:
        raise _mimic_iv(table.path, f"the column {of_mimic_iv[0].lower()}")
    raise UserError(
        f"{table.path}, line 1: the header lacks {', '.join(lacking)}. It has "
        f"{', '.join(table.header)}. Is it {table.name} of MIMIC-III, with its header? {_WHERE}"
    )


# -- Reading -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say what is wrong with a file that cannot be read."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise damaged(path, f"{error}") from error
    except csv.Error as error:
        raise UserError(f"{path} is no CSV file that can be read: {error}. {_AGAIN}") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}. Correct its permissions, or get it "
            "again."
        ) from error


def damaged(path: Path, reason: str) -> UserError:
    """What to say of a packed file that was cut off, or changed."""
    return UserError(f"{path} is damaged, or was cut off: {reason}. Nothing was kept. {_AGAIN}")


def _text_of(path: Path) -> IO[str]:
    """A table's text; a byte that is not UTF-8 becomes a replacement character."""
    packed = path.suffix.lower() == ".gz"
    file = gzip.open(path) if packed else path.open("rb")  # noqa: SIM115  # closed with the text
    return io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")


def rows_of(table: Table) -> Iterator[dict[str, str | None]]:
    """Each row of a small table: its needed columns, None where missing.

    Raises:
        UserError: when the file is damaged, or a row has too few fields or too many.
    """
    places = [(name, table.header.index(name)) for name in COLUMNS[table.name]]
    with _readable(table.path), _text_of(table.path) as file:
        reader = csv.reader(file)
        next(reader)
        for row in reader:
            if len(row) == len(table.header):
                yield {
                    name: None if (text := row[place]) in MISSING else text
                    for name, place in places
                }
            elif row:
                raise UserError(
                    f"{table.path}, line {reader.line_num}: {len(row)} fields where the header has "
                    f"{len(table.header)}; the file may have been cut off. {_AGAIN}"
                )


def batches_of(table: Table, num_rows: int) -> "Iterator[pl.DataFrame]":
    """The needed columns of a large table, as text, some ``num_rows`` rows at a time, in order.

    A row with too few fields lacks the last ones, one with too many has them ignored, as in the
    benchmark.

    Raises:
        UserError: when the file is damaged.
    """
    import polars as pl

    _require_whole_end(table)
    # A second column of one name would not be needed; it only must not be called the same.
    names = [
        name if name not in table.header[:place] else f"{name} {place}"
        for place, name in enumerate(table.header)
    ]
    lazy = pl.scan_csv(
        table.path, infer_schema=False, encoding="utf8-lossy", new_columns=names, glob=False
    )
    try:
        yield from lazy.select(COLUMNS[table.name]).collect_batches(
            chunk_size=num_rows, maintain_order=True
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = " ".join(str(error).split())[:_MAX_REASON]
        if reason.startswith("could not parse"):  # and the field, which may be the rest of the file
            reason = "a quoted field has no end, or goes on after it"
        if table.is_packed:
            raise damaged(table.path, reason) from error
        raise UserError(
            f"{table.path} is no CSV file that can be read: {reason}. {_AGAIN}"
        ) from error


def _require_whole_end(table: Table) -> None:
    """Refuse a file that is not packed and ends within a row; a packed one has a checksum."""
    if table.is_packed:
        return
    with _readable(table.path), table.path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _SAMPLE_BYTES))
        last = file.read().splitlines(keepends=True)[-1:]
    for line in last:
        if line.endswith(b"\n") or line.count(b'"') % 2:  # the end of a field with a line break
            return
        row = next(csv.reader([line.decode("utf-8", "replace")]))
        if len(row) < len(table.header):
            raise UserError(
                f"{table.path} ends within a row, of which {len(row)} of {len(table.header)} "
                f"fields are there: the file was cut off. {_AGAIN}"
            )


def estimated_rows(table: Table) -> int:
    """About how many rows a large table has, from its first megabyte and its size."""
    with _readable(table.path), table.path.open("rb") as packed:
        file = gzip.GzipFile(fileobj=packed) if table.is_packed else packed
        sample = file.read(_SAMPLE_BYTES)
        if len(sample) < _SAMPLE_BYTES:
            return max(sample.count(b"\n") - 1, 0)
        read = packed.tell() if table.is_packed else len(sample)
    return max(round(sample.count(b"\n") * table.path.stat().st_size / read), 1)

"""Whether a folder of in-hospital mortality, made by anybody, is the benchmark's: by its MD5s.

mimic3-benchmarks has a list of the MD5s of its 21,139 episodes among its tests
(``mimic3benchmark/tests/resources/ihm.csv``). An MD5 there is not of a file's bytes but of its
table as pandas prints it, numbers with one decimal: it does not see smaller differences.
"""

import csv
import functools
import hashlib
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stnlab.errors import UserError
from stnlab.mimic3 import processes
from stnlab.mimic3.split import URL, fetch_from_benchmark
from stnlab.mimic3.tables import MISSING

HASHES = "mimic3benchmark/tests/resources/ihm.csv"
NUM_EPISODES = 21_139
_LINE = re.compile(r"\./((?:train|test)/\d+_episode\d+_timeseries\.csv),([0-9a-f]{32})")
_PARTS = ("train", "test")
_FILES_A_TASK = 250
_EXAMPLES = 3
_EYES = "Glascow coma scale eye opening"
_OTHER_ANSWERS = ("Glascow coma scale motor response", "Glascow coma scale verbal response")

Row = list[str]


# -- The benchmark's MD5 -------------------------------------------------------------------------


def md5_of(header: Row, rows: Sequence[Row]) -> str:
    """The MD5 of the benchmark's ``hash_tables``: of the table's text, as pandas lays it out."""
    cells = [[_printed(each) for each in row] for row in rows]
    for place in range(len(header)):
        if len({row[place] for row in cells}) == len(cells):
            cells.sort(key=lambda row: row[place])
            break
    margin = len(str(max(len(cells) - 1, 0)))
    widths = [
        max(len(name), 1 + max((len(row[place]) for row in cells), default=0))
        for place, name in enumerate(header)
    ]
    lines = [("", header), *((str(number), row) for number, row in enumerate(cells))]
    text = "\n".join(
        " ".join(
            [f"{label:<{margin}}", *(f"{e:>{width}}" for e, width in zip(row, widths, strict=True))]
        )
        for label, row in lines
    )
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@functools.lru_cache(maxsize=1 << 16)
def _printed(text: str) -> str:
    if text in MISSING:
        return "nan"
    try:
        return f"{float(text):.1f}"
    except ValueError:
        return text


def _table_of(path: Path) -> tuple[Row, list[Row]]:
    text = path.read_bytes().decode("utf-8", "replace")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    if any(len(row) != len(header) for row in rows):
        raise ValueError("rows differ in length")
    return header, rows


# -- The list ------------------------------------------------------------------------------------


def read_hashes(path: Path) -> dict[str, str]:
    """The MD5 of each episode, by ``part/file``.

    Raises:
        UserError: when the file is not there, or is another one.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UserError(
            f"--hashes: {path} cannot be read: {error.strerror}. {_HOW_TO_GET_IT}"
        ) from error
    found = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UserError(
                f"--hashes: {path}, line {number}: {line[:80]!r} is not an episode and its MD5, as "
                f"in './test/10011_episode1_timeseries.csv,1d92…'. {_HOW_TO_GET_IT}"
            )
        found[match[1]] = match[2]
    if not found:
        raise UserError(f"--hashes: {path} is empty. {_HOW_TO_GET_IT}")
    return found


_HOW_TO_GET_IT = (
    f"The list is {URL}{HASHES}; --download fetches it, and --hashes names a copy of yours."
)


def fetched_hashes(
    folder: Path, *, download: bool, schemes: Collection[str] = ("https",)
) -> dict[str, str]:
    """The list in ``folder``, fetched there first where ``download`` is true and it is missing.

    Raises:
        UserError: when it is not there, or cannot be had.
    """
    path = folder / Path(HASHES).name
    if not path.is_file():
        if not download:
            raise UserError(f"verify needs the benchmark's list of MD5s. {_HOW_TO_GET_IT}")
        fetch_from_benchmark(HASHES, path, None, schemes)  # no sum is known; its length is checked
    found = read_hashes(path)
    if len(found) != NUM_EPISODES:
        path.unlink()
        raise UserError(
            f"{path} had {len(found):,} MD5s, not {NUM_EPISODES:,}: it was cut off, or is another "
            f"list, and was deleted. {_HOW_TO_GET_IT}"
        )
    return found


# -- A folder against the list -------------------------------------------------------------------


@dataclass
class Verdict:
    """What was found; names are ``part/file``."""

    num_listed: int
    same: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)  # among the missing: whole, in another part
    mended: dict[str, list[str]] = field(default_factory=dict)  # by what would make them the same
    without_none: bool = False  # no file has the answer None
    listfiles: list[str] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        """Whether the folder is the benchmark's."""
        return len(self.same) == self.num_listed and not (
            self.extra or self.unreadable or self.listfiles
        )

    def lines(self) -> Iterator[str]:
        """What there is to tell."""
        yield f"{len(self.same):,} of {self.num_listed:,} episodes are the benchmark's."
        for name in ("different", "missing", "extra", "unreadable"):
            found: list[str] = getattr(self, name)
            if found:
                yield f"{len(found):,} {name}: {_some(found)}"
        yield from self.listfiles
        yield from (f"- {line}" for line in self._patterns())

    def _patterns(self) -> Iterator[str]:
        """What it usually means."""
        explained = set(self.moved)
        for reason, names in self.mended.items():
            explained.update(names)
            share = f"{len(names):,} of {len(self.different):,} different ones"
            yield f"{share} would be the same {reason}"
        if self.different and self.without_none and _NONE not in self.mended:
            yield (
                "No file has the answer None of the eyes' opening: pandas 2 reads that text as "
                "missing, and makes episodes without it. Use pandas 1.5.3, or this command."
            )
        if self.moved:
            yield (
                f"{len(self.moved):,} of the missing ones are whole, in the other part: the split "
                "is another than that of the benchmark's lists (here: --split or --download)."
            )
        missing = [name for name in self.missing if name not in explained]
        if missing:
            yield from self._about_missing(missing)
        extra = [name for name in self.extra if _elsewhere(name) not in explained]
        if extra:
            yield (
                f"{len(extra):,} extra ones are of stays that the benchmark does not have: tables "
                "of another version than MIMIC-III v1.4, or other rules."
            )
        rest = set(self.different).difference(*self.mended.values(), ())
        if rest and not self.without_none:
            yield (
                f"{len(rest):,} different ones fit no pattern that is known here: other rules, "
                "other versions of pandas or of the tables, or files that were changed afterwards."
            )

    def _about_missing(self, missing: Sequence[str]) -> Iterator[str]:
        of_part = {part: [name for name in missing if name.startswith(part)] for part in _PARTS}
        if not self.same and not self.different:
            yield (
                "There is nothing of the benchmark's at all: pandas 3 ends its scripts so, without "
                "a word; or this is another folder."
            )
        elif len(self.same) + len(self.different) < 0.02 * self.num_listed:
            yield (
                "Less than 2% are there: the open demo (57 of them) or another small part of the "
                "tables, or a run that died soon."
            )
        else:
            for part, names in of_part.items():
                if names and not any(name.startswith(part) for name in self.same):
                    yield f"All of {part}/ is missing: the last steps have not run, or not copied."
            yield (
                f"{len(missing):,} are missing: a run that died. The benchmark's scripts end with "
                "status 0 at a text where a number is expected (say a temperature 'abc'), and that "
                "subject and all after it are missing. Look for a traceback in their output."
            )


_NONE = (
    "with the answer None where the eyes' opening is missing: pandas 2 reads that text as missing. "
    "Use pandas 1.5.3, or this command."
)
_DOUBLED = "without each second line: all stands there twice, as do events extracted twice."


def verify(folder: Path, hashes: Mapping[str, str], jobs: int = 1) -> Verdict:
    """Hold ``folder`` (or its ``in-hospital-mortality``) against the benchmark's MD5s.

    Raises:
        UserError: when it is no such folder.
    """
    if not (folder / "train").is_dir() and (folder / "in-hospital-mortality").is_dir():
        folder /= "in-hospital-mortality"
    if not any((folder / part).is_dir() for part in _PARTS):
        raise UserError(
            f"FOLDER: {folder} has neither train/ nor test/. Name the benchmark's folder "
            "in-hospital-mortality."
        )
    names = [
        f"{part}/{path.name}"
        for part in _PARTS
        for path in sorted((folder / part).glob("*_timeseries.csv"))
    ]
    tasks = [names[begin : begin + _FILES_A_TASK] for begin in range(0, len(names), _FILES_A_TASK)]
    look = functools.partial(_look_at, folder, {name: hashes.get(name) for name in names})
    found: dict[str, _Look] = {}
    if jobs > 1 and len(tasks) > 4 * jobs:
        with processes.started(jobs) as pool:
            for each in pool.map(look, tasks):
                found |= each
    else:
        for task in tasks:
            found |= look(task)
    verdict = Verdict(len(hashes))
    for name, looked in found.items():
        _sort_in(verdict, hashes, name, looked)
    verdict.missing = [name for name in hashes if name not in found]
    verdict.without_none = not any(looked.has_none for looked in found.values())
    verdict.listfiles = list(_about_lists(folder, names))
    return verdict


def _sort_in(verdict: Verdict, hashes: Mapping[str, str], name: str, looked: "_Look") -> None:
    if looked.md5 is None:
        verdict.unreadable.append(name)
    elif name not in hashes:
        verdict.extra.append(name)
        if hashes.get(_elsewhere(name)) == looked.md5:
            verdict.moved.append(_elsewhere(name))
    elif looked.md5 == hashes[name]:
        verdict.same.append(name)
    else:
        verdict.different.append(name)
        for reason in looked.mended_by:
            verdict.mended.setdefault(reason, []).append(name)


@dataclass(frozen=True)
class _Look:
    md5: str | None = None  # None: it cannot be read
    has_none: bool = False
    mended_by: tuple[str, ...] = ()


def _look_at(
    folder: Path, expected: Mapping[str, str | None], names: Sequence[str]
) -> dict[str, _Look]:
    return {name: _look(folder / name, expected[name]) for name in names}


def _look(path: Path, expected: str | None) -> _Look:
    try:
        header, rows = _table_of(path)
    except (OSError, ValueError, csv.Error):
        return _Look()
    md5 = md5_of(header, rows)
    has_none = _EYES in header and any(row[header.index(_EYES)] == "None" for row in rows)
    mended: tuple[str, ...] = ()
    if expected not in (None, md5):
        mended = tuple(
            reason
            for reason, mend in _MENDS.items()
            if (other := mend(header, rows)) != rows and md5_of(header, other) == expected
        )
    return _Look(md5, has_none, mended)


def _with_none(header: Row, rows: Sequence[Row]) -> list[Row]:
    """The eyes' answer None put where it is missing beside another answer."""
    if not {_EYES, *_OTHER_ANSWERS} <= {*header}:
        return [*rows]
    eyes, *others = (header.index(name) for name in (_EYES, *_OTHER_ANSWERS))
    return [
        [*row[:eyes], "None", *row[eyes + 1 :]]
        if not row[eyes] and any(row[place] for place in others)
        else row
        for row in rows
    ]


def _without_second_lines(_: Row, rows: Sequence[Row]) -> list[Row]:
    halves = rows[::2], rows[1::2]
    return [*(halves[0] if halves[0] == halves[1] else rows)]


_MENDS: dict[str, Callable[[Row, Sequence[Row]], list[Row]]] = {
    _NONE: _with_none,
    _DOUBLED: _without_second_lines,
}


def _elsewhere(name: str) -> str:
    """The same file in the other part."""
    part, _, file = name.partition("/")
    return f"{'train' if part == 'test' else 'test'}/{file}"


def _about_lists(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Where a part's listfile and its files are not the same."""
    for part in _PARTS:
        path = folder / part / "listfile.csv"
        files = {name.partition("/")[2] for name in names if name.startswith(f"{part}/")}
        if not path.is_file():
            if files:
                yield f"{part}/listfile.csv is missing."
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
        listed = {line.partition(",")[0] for line in lines}
        if listed - files:
            yield f"{part}/listfile.csv names files that are not there: {_some(listed - files)}"
        if files - listed:
            yield f"{part}/listfile.csv lacks files that are there: {_some(files - listed)}"


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:_EXAMPLES]
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return f"{', '.join(shown)}{more}"

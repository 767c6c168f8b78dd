"""The whole way, from a folder of tables to a folder of episodes that appears in one step."""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stnlab.data.places import cache_folder
from stnlab.errors import UserError
from stnlab.files import replacing
from stnlab.mimic3 import processes
from stnlab.mimic3.cohort import Cohort, find_cohort
from stnlab.mimic3.progress import Progress
from stnlab.mimic3.split import NOT_THE_BENCHMARKS, Split, drawn_source, drawn_split
from stnlab.mimic3.tables import EVENT_TABLES, Table, estimated_rows, find_tables

if TYPE_CHECKING:
    from stnlab.mimic3.episodes import Made, Share
    from stnlab.mimic3.events import Spilled

LOG = "log.json"
MIN_MEMORY = 512 << 20  # bytes
_MORTALITY = "in-hospital-mortality"
_OS_ERROR = re.compile(r" \(os error \d+\)")  # which polars appends
_FORMAT = 1  # a new number when the files' content changes
# Bytes that a row takes: in the scan, waiting for the disk, among those of a share.
_SCAN_BYTES, _PENDING_BYTES, _EPISODE_BYTES = 1200, 150, 400
_BASE_BYTES = 150 << 20  # of a process, with what it imports
_SMALL = 400_000  # kept rows that one process is quicker with
_MIN_SHARE = 50_000  # rows
_SHARES_A_JOB = 8
_BLOCK_BYTES = 1 << 20

Log = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How the work is done: up to ``jobs`` processes, ``memory`` bytes for all of them together.

    ``whole`` asks for the episodes of whole stays beside the first 48 hours; ``seed`` is of the
    split, where it is drawn by lot.
    """

    jobs: int = os.cpu_count() or 1
    memory: int = 2 << 30
    whole: bool = False
    seed: int = 0


Tell = Callable[[str], None]


def build(raw: Path, out: Path, split: Split | None, settings: Settings, tell: Tell) -> Log:
    """Make ``out`` of the tables in ``raw``, and return what ``log.json`` holds.

    Args:
        raw: MIMIC-III's tables.
        out: is not there, or empty, or already made of the same tables in the same way.
        split: who is in which part; drawn by lot where it is None.
        settings: jobs, memory and the like; of these ``whole`` and ``seed`` alone change the files.
        tell: takes each line that the user should read.

    Raises:
        UserError: for whatever is wrong with the tables or with ``out``.
    """
    # Before its first import, in which it starts its threads.
    os.environ.setdefault("POLARS_MAX_THREADS", str(settings.jobs))
    _require_polars()
    out = out.absolute()
    tables = find_tables(raw)
    wanted = _identity(tables, split, settings)
    began = time.monotonic()
    with _writable(out):
        found = _finished(out, wanted)
        if found is None:
            with replacing(out) as temporary:
                found = _finished(out, wanted)  # another process may have been quicker
                if found is None:
                    temporary.mkdir()
                    log = _make(tables, temporary, split, settings, tell)
                    log = {**wanted, **log, "seconds": round(time.monotonic() - began, 1)}
                    text = json.dumps(log, indent=1, ensure_ascii=False)
                    (temporary / LOG).write_text(f"{text}\n", encoding="utf-8")
                    return log
        tell(f"{out} is there, made of these tables in this way: nothing was to be done.")
        return found


def made_of(raw: Path, split: Split | None, tell: Tell) -> Path:
    """The folder of in-hospital mortality of the tables in ``raw``, made once and then kept.

    Raises:
        UserError: for whatever is wrong with the tables.
    """
    root = kept_at(raw, split)
    with contextlib.suppress(OSError):  # which is said when it is written to
        root.parents[1].mkdir(mode=0o700, parents=True, exist_ok=True)  # patients' data
    log = build(raw, root.parent, split, Settings(), lambda _: None)
    for line in log["told"]:
        tell(line)
    return root


def kept_at(raw: Path, split: Split | None) -> Path:
    """Where :func:`made_of` keeps what it makes: in the tables' cache, by files and split.

    Raises:
        UserError: when a table is missing.
    """
    wanted = json.dumps(_identity(find_tables(raw), split, Settings()), sort_keys=True)
    name = f"mimic3-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    return cache_folder(raw) / name / _MORTALITY


def notes_of(root: Path) -> list[str]:
    """What a result from the folder of in-hospital mortality ``root`` must say."""
    try:
        return list(json.loads((root.parent / LOG).read_text(encoding="utf-8"))["notes"])
    except (OSError, ValueError, KeyError, TypeError):
        note = root / NOT_THE_BENCHMARKS  # without what was beside it, or made by others
        return note.read_text(encoding="utf-8").splitlines() if note.is_file() else []


def _require_polars() -> None:
    try:
        import polars  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise UserError(
            "MIMIC-III's tables are read with polars, which is not installed. Install the extra: "
            "pip install -e '.[mimic]'"
        ) from error


# -- What is there -------------------------------------------------------------------------------


def _identity(tables: Mapping[str, Table], split: Split | None, settings: Settings) -> Log:
    """What decides the files' content, as far as it can be told without reading the tables."""
    files = {
        name: {
            "file": table.path.name,
            "bytes": table.path.stat().st_size,
            "modified": table.path.stat().st_mtime_ns,
        }
        for name, table in tables.items()
    }
    source = drawn_source(settings.seed) if split is None else split.source
    return {"format": _FORMAT, "tables": files, "split": source, "whole stays": settings.whole}


def _finished(out: Path, wanted: Log) -> Log | None:
    """The log of an output that was made in the same way; None where there is nothing.

    Raises:
        UserError: where ``out`` holds anything else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    ways_out = "Name another OUT, or delete it; nothing was written."
    try:
        found: Log = json.loads((out / LOG).read_text(encoding="utf-8"))
        differing = [key for key in wanted if found[key] != wanted[key]]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"OUT: {out} is there, and was not made by this command. {ways_out}"
        ) from None
    if differing:
        raise UserError(
            f"OUT: {out} is there, made in another way: {', '.join(differing)} differ (see its "
            f"{LOG}). {ways_out}"
        )
    return found


@contextlib.contextmanager
def _writable(out: Path) -> Iterator[None]:
    """Say what is wrong where ``out`` cannot be written."""
    import polars as pl

    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or _OS_ERROR.sub("", str(error))
        raise UserError(
            f"OUT: {out} cannot be written: {reason}. Nothing was kept. Make room (what is laid "
            "aside meanwhile, beside OUT, takes up to a tenth of the unpacked tables), or name "
            "another OUT; the same command starts anew."
        ) from error
    except BrokenProcessPool as error:
        raise UserError(
            "A process of this command was ended from outside, perhaps because memory was short. "
            "Nothing was kept. Try --jobs 1, or a smaller --memory."
        ) from error


# -- The stages ----------------------------------------------------------------------------------


def _make(
    tables: Mapping[str, Table], out: Path, split: Split | None, settings: Settings, tell: Tell
) -> Log:
    """Write everything but the log to ``out``; returns what the log is to hold."""
    from stnlab.mimic3 import events, outcome

    progress, stages = Progress(), _Stages()
    with _Checksums(tables) as checksums:
        cohort = find_cohort(tables)
        if split is None:
            split = drawn_split(list(cohort.stays), settings.seed)
        stages.end("cohort")
        totals = {name: estimated_rows(tables[name]) for name in EVENT_TABLES}
        aside = out / "rows"
        aside.mkdir()
        try:
            spilled = events.spill(
                tables,
                list(cohort.stays.values()),
                aside,
                batch_rows=_between(50_000, settings.memory // 8 // _SCAN_BYTES, 500_000),
                file_rows=_between(50_000, settings.memory // 8 // _PENDING_BYTES, 2_000_000),
                on_rows=lambda name, done: progress(name, done, totals[name]),
            )
            stages.end("events")
            made = _make_episodes(cohort, spilled, split, settings, out, progress)
        finally:
            progress.clear()
        shutil.rmtree(aside)
        stages.end("episodes")
        sha256 = checksums.result()
    log = outcome.write(out, cohort, spilled, split, made)
    stages.end("lists and checksums")
    for line in log["told"]:
        tell(line)
    return {
        **log,
        "sha256 of tables": sha256,
        "versions": _versions(),
        "seconds of stages": stages.seconds,
    }


class _Stages:
    """How long each stage of the work has taken."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.monotonic()

    def end(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._began, 2)
        self._began = now


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


class _Checksums:
    """SHA-256 of the tables' files, taken beside other work; it ends with the block."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._found = {name: self._pool.submit(self._of, each) for name, each in tables.items()}

    def _of(self, table: Table) -> str:
        digest = hashlib.sha256()
        with table.path.open("rb") as file:
            while not self._ended.is_set() and (block := file.read(_BLOCK_BYTES)):
                digest.update(block)
        return digest.hexdigest()

    def result(self) -> dict[str, str]:
        return {name: each.result() for name, each in self._found.items()}

    def __enter__(self) -> "_Checksums":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._pool.shutdown(cancel_futures=True)


def _versions() -> dict[str, str]:
    names = ("stnlab", "polars", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _make_episodes(
    cohort: Cohort,
    spilled: "Spilled",
    split: Split,
    settings: Settings,
    out: Path,
    progress: Progress,
) -> "Made":
    from stnlab.mimic3 import episodes

    for part in ("train", "test"):
        (out / episodes.MORTALITY / part).mkdir(parents=True)
        if settings.whole:
            (out / episodes.EPISODES / part).mkdir(parents=True)
    num_rows = int(spilled.rows_of_subjects.sum())
    most = settings.memory // _BASE_BYTES - 2  # beside this process, and one's worth of rows
    jobs = max(1, min(settings.jobs, most)) if num_rows > _SMALL else 1
    memory = max(settings.memory - _BASE_BYTES * (jobs + 1), 0) // jobs
    shares = _shares(
        cohort,
        spilled,
        split,
        _between(_MIN_SHARE, num_rows // (jobs * _SHARES_A_JOB), memory // _EPISODE_BYTES),
    )
    made, done = episodes.Made(), 0
    for each in _in_processes(shares, out, settings.whole, jobs):
        made.add(each)
        done += each.num_rows
        progress("episodes", done, num_rows)
    return made


def _shares(cohort: Cohort, spilled: "Spilled", split: Split, num_rows: int) -> Iterator["Share"]:
    """Subjects in order, up to ``num_rows`` rows together."""
    from stnlab.mimic3.episodes import Share

    rows_of_subjects = spilled.rows_of_subjects.tolist()
    stays = list(cohort.stays.values())
    begin = first_stay = 0
    while begin < len(stays):
        end, rows = begin, 0
        while end < len(stays) and (end == begin or rows + rows_of_subjects[end] <= num_rows):
            rows += rows_of_subjects[end]
            end += 1
        parts = ["test" if own[0].subject in split.test else "train" for own in stays[begin:end]]
        slices = [
            (path, int(bounds[begin]), int(bounds[end] - bounds[begin]))
            for path, bounds in zip(spilled.files, spilled.bounds, strict=True)
        ]
        written = {place: each for place, each in spilled.written.items() if begin <= place < end}
        yield Share(begin, first_stay, stays[begin:end], parts, slices, written)
        first_stay += sum(map(len, stays[begin:end]))
        begin = end


def _in_processes(shares: Iterator["Share"], out: Path, whole: bool, jobs: int) -> Iterator["Made"]:
    if jobs == 1:
        from stnlab.mimic3.episodes import make_episodes

        yield from (make_episodes(share, out, whole=whole) for share in shares)
        return
    with processes.started(jobs) as pool:
        try:
            running = {pool.submit(_made, share, out, whole) for share in islice(shares, 2 * jobs)}
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {
                    pool.submit(_made, share, out, whole) for share in islice(shares, len(ended))
                }
                yield from (each.result() for each in ended)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _made(share: "Share", out: Path, whole: bool) -> "Made":
    from stnlab.mimic3.episodes import make_episodes

    return make_episodes(share, out, whole=whole)

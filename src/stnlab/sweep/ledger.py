"""What is done and what is left. The folder tree is the only record.

Whoever starts a run takes its folder's lock, so "running" holds for runs of any process on any
machine that shares the folders.
"""

import csv
import io
from collections.abc import Iterable
from enum import Enum
from statistics import mean
from typing import Any, NamedTuple

from stnlab.config import to_plain
from stnlab.errors import UserError
from stnlab.folder import Difference, State
from stnlab.sweep.plan import PlannedRun

_known_checksums: dict[str, dict[str, str]] = {}


class Status(Enum):
    """Where a planned run stands."""

    done = "done"
    shorter = "of fewer epochs"  # complete as such; it goes on
    running = "running"
    interrupted = "interrupted"
    failed = "failed"
    missing = "missing"
    other_config = "of another config"
    damaged = "damaged"


class Standing(NamedTuple):
    """A planned run's status and what its folder tells of it."""

    run: PlannedRun
    status: Status
    history: list[dict[str, float]]  # a row for each epoch that has ended
    metrics: dict[str, Any] | None  # of a run that is done
    message: str = ""  # what went wrong
    differences: tuple[Difference, ...] = ()


def look(run: PlannedRun) -> Standing:
    """Where a planned run stands now."""
    folder = run.folder
    is_running = folder.is_locked()
    try:
        state, differences = folder.look(to_plain(run.config), lambda: _checksums(run))
        metrics = folder.read_metrics() if state is State.complete else None
    except UserError as error:
        return Standing(run, Status.damaged, [], None, str(error))
    if state is State.complete:
        return Standing(run, Status.done, _history(run), metrics)
    if is_running:
        return Standing(run, Status.running, _history(run), None)
    if state is State.other_config:
        message = str(folder.holds_another(differences))
        return Standing(run, Status.other_config, [], None, message, tuple(differences))
    if folder.error.exists():
        message = folder.error.read_text(encoding="utf-8", errors="replace").strip()
        return Standing(run, Status.failed, _history(run), None, message)
    if state in (State.interrupted, State.shorter):
        status = Status.shorter if state is State.shorter else Status.interrupted
        return Standing(run, status, _history(run), None)
    return Standing(run, Status.missing, [], None)


def _checksums(run: PlannedRun) -> dict[str, str]:
    """Of the data at hand, the same for the time of a process and all runs on a dataset."""
    dataset = run.config.dataset
    key = repr(dataset)
    if key not in _known_checksums:
        _known_checksums[key] = dataset.checksums()
    return _known_checksums[key]


def forget_data() -> None:
    """Have the data looked at anew; it is a sweep's for as long as the sweep goes on."""
    _known_checksums.clear()


def _history(run: PlannedRun) -> list[dict[str, float]]:
    try:
        text = run.folder.history.read_text(encoding="utf-8")
        return [
            {key: float(value) for key, value in row.items()}
            for row in csv.DictReader(io.StringIO(text))
        ]
    except (OSError, ValueError, TypeError):  # not there yet; the run itself says what is damaged
        return []


def seconds_left(standings: Iterable[Standing], num_workers: int) -> float | None:
    """Estimate the time to the end from the runs that are done, and the epochs of the others.

    A cell that has no such run is taken to be as long as the others' mean; None without any.
    """
    standings = list(standings)
    by_cell: dict[tuple[str, str], list[float]] = {}
    for each in standings:
        length = _seconds_of_a_run(each)
        if length is not None:
            by_cell.setdefault(_kind(each), []).append(length)
    if not by_cell:
        return None
    typical = mean(mean(lengths) for lengths in by_cell.values())
    left = [
        mean(by_cell.get(_kind(each), [typical])) * (1 - share_done(each))
        for each in standings
        if each.status is not Status.done
    ]
    return max([sum(left) / num_workers, *left], default=0.0)


def share_done(standing: Standing) -> float:
    """Share of a run's epochs that have ended, in [0, 1]."""
    if standing.status is Status.done:
        return 1.0
    return min(len(standing.history) / standing.run.config.trainer.max_epochs, 1.0)


def _kind(standing: Standing) -> tuple[str, str]:
    return standing.run.config.dataset.name, standing.run.cell


def _seconds_of_a_run(standing: Standing) -> float | None:
    if standing.metrics is not None:
        return float(sum(standing.metrics["seconds"].values()))
    if standing.status in (Status.running, Status.shorter) and standing.history:
        epochs = standing.run.config.trainer.max_epochs
        return epochs * mean(row["seconds"] for row in standing.history)
    return None

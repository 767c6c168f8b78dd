"""What is done and what is left. The folder tree is the only record.

Whoever starts a run takes its folder's lock, so "running" holds for runs of any process on any
machine that shares the folders.
"""

import csv
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from statistics import mean
from typing import Any, NamedTuple

from stnlab.config import to_plain
from stnlab.errors import UserError
from stnlab.files import read_rows, readable
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


class Phase(Enum):
    """What a running run does."""

    starting = "starting"
    training = "training"
    testing = "testing"


Kind = tuple[str, str]  # of runs: dataset and cell


class Standing(NamedTuple):
    """A planned run's status and what its folder tells of it."""

    run: PlannedRun
    status: Status
    history: list[dict[str, float]]  # a row for each epoch that has ended
    metrics: dict[str, Any] | None  # of a run that is done
    message: str = ""  # what went wrong
    differences: tuple[Difference, ...] = ()
    has_begun_to_train: bool = False
    seconds_gone: float = 0.0  # of a running run: since its last epoch has ended


def look(run: PlannedRun) -> Standing:
    """Where a planned run stands now."""
    folder = run.folder
    is_running = folder.is_locked()
    if not (is_running or folder.path.exists()):  # quickly: a sweep looks again and again
        return Standing(run, Status.missing, [], None)
    try:
        state, differences = folder.look(to_plain(run.config), lambda: _checksums(run))
        metrics = folder.read_metrics() if state is State.complete else None
    except UserError as error:
        return Standing(run, Status.damaged, [], None, str(error))
    if state is State.complete:
        return Standing(run, Status.done, _history(run), metrics)
    if is_running:
        return _running(run)
    if state is State.other_config:
        message = str(folder.holds_another(differences))
        return Standing(run, Status.other_config, [], None, message, tuple(differences))
    with suppress(FileNotFoundError):  # a worker that tries it again takes it away
        message = folder.error.read_text(encoding="utf-8", errors="replace").strip()
        return Standing(run, Status.failed, _history(run), None, message)
    if state in (State.interrupted, State.shorter):
        status = Status.shorter if state is State.shorter else Status.interrupted
        return Standing(run, status, _history(run), None)
    return Standing(run, Status.missing, [], None)


def _running(run: PlannedRun) -> Standing:
    history, gone = _history(run), 0.0
    with suppress(OSError):
        gone = max(time.time() - run.folder.history.stat().st_mtime, 0.0) if history else 0.0
    has_begun = any(run.folder.path.glob("events.out.tfevents.*"))
    return Standing(
        run, Status.running, history, None, has_begun_to_train=has_begun, seconds_gone=gone
    )


def phase(standing: Standing) -> Phase | None:
    """What a run does now; None of one that does not run."""
    if standing.status is not Status.running:
        return None
    if len(standing.history) >= standing.run.config.trainer.max_epochs:
        return Phase.testing
    return Phase.training if standing.has_begun_to_train else Phase.starting


def _checksums(run: PlannedRun) -> dict[str, str]:
    """Of the data at hand, the same for the time of a process and all runs on a dataset."""
    dataset = run.config.dataset
    key = repr(dataset)
    if key not in _known_checksums:
        with readable("dataset.root"):
            _known_checksums[key] = dataset.checksums()
    return _known_checksums[key]


def forget_data() -> None:
    """Have the data looked at anew; it is a sweep's for as long as the sweep goes on."""
    _known_checksums.clear()


def _history(run: PlannedRun) -> list[dict[str, float]]:
    try:
        return [
            {key: float(value) for key, value in row.items()}
            for row in read_rows(run.folder.history)
        ]
    except (
        OSError,
        ValueError,
        TypeError,
        csv.Error,
    ):  # not there yet; the run itself says what is damaged
        return []


class Left(NamedTuple):
    """The time to the end, in seconds; ``is_whole`` says whether the tests' share is in it."""

    seconds: float
    is_whole: bool


class _Pace(NamedTuple):
    """Seconds of the phases of a run; those before and after training are None where unknown."""

    epoch: float
    setup: float | None
    test: float | None


def seconds_left(
    standings: Iterable[Standing], num_workers: int, an_epoch: Mapping[Kind, float] | None = None
) -> Left | None:
    """The time until all is done; None as long as there is nothing to learn from.

    ``an_epoch`` has the seconds of an epoch of kinds of runs, for those that have none under way.
    """
    found = left_of_each(list(standings), an_epoch)
    if any(each is None for each in found):
        return None
    left = [each for each in found if each is not None]
    seconds = [each.seconds for each in left]
    return Left(
        max([sum(seconds) / num_workers, *seconds], default=0.0),
        all(each.is_whole for each in left),
    )


def left_of_each(
    standings: Sequence[Standing], an_epoch: Mapping[Kind, float] | None = None
) -> list[Left | None]:
    """Estimate the time to each run's end from those that are done, and the epochs of the others.

    A cell that has no such run is taken to be as long as the others' mean; None without any.
    """
    by_cell: dict[Kind, list[_Pace]] = {}
    for each in standings:
        pace = _pace(each)
        if pace is not None:
            by_cell.setdefault(kind(each), []).append(pace)
    for own, seconds in (an_epoch or {}).items():
        by_cell.setdefault(own, [_Pace(seconds, None, None)])
    means = {own: _mean(paces) for own, paces in by_cell.items()}
    typical = _mean(list(means.values())) if means else None
    return [_left_of(each, means.get(kind(each), typical), typical) for each in standings]


def _left_of(standing: Standing, pace: _Pace | None, typical: _Pace | None) -> Left | None:
    if standing.status is Status.done:
        return Left(0.0, True)
    if pace is None or typical is None:
        return None
    # Setup and test of a cell that has no run to learn them from take as long as the others'.
    setup = typical.setup if pace.setup is None else pace.setup
    test = typical.test if pace.test is None else pace.test
    seconds = _left_of_a_run(standing, _Pace(pace.epoch, setup, test))
    return Left(seconds, test is not None)


def _left_of_a_run(standing: Standing, pace: _Pace) -> float:
    num_epochs, gone = len(standing.history), standing.seconds_gone
    epochs_left = standing.run.config.trainer.max_epochs - num_epochs
    setup, test = pace.setup or 0.0, pace.test or 0.0
    if phase(standing) is Phase.testing:
        return max(test - gone, 0.0)
    if num_epochs or phase(standing) is Phase.training:
        return max(epochs_left * pace.epoch - min(gone, pace.epoch), 0.0) + test
    return setup + epochs_left * pace.epoch + test


def _mean(paces: list[_Pace]) -> _Pace:
    setups = [each.setup for each in paces if each.setup is not None]
    tests = [each.test for each in paces if each.test is not None]
    return _Pace(
        mean(each.epoch for each in paces),
        mean(setups) if setups else None,
        mean(tests) if tests else None,
    )


def share_done(standing: Standing) -> float:
    """Share of a run's epochs that have ended, in [0, 1]."""
    if standing.status is Status.done:
        return 1.0
    return min(len(standing.history) / standing.run.config.trainer.max_epochs, 1.0)


def kind(standing: Standing) -> Kind:
    """What runs of one length have in common."""
    return standing.run.config.dataset.name, standing.run.cell


def _pace(standing: Standing) -> _Pace | None:
    epochs = standing.run.config.trainer.max_epochs
    if standing.metrics is not None:
        seconds = standing.metrics["seconds"]
        train = float(seconds.get("train", 0.0))
        return _Pace(train / epochs, seconds.get("setup"), seconds.get("test"))
    if standing.status in (Status.running, Status.shorter) and standing.history:
        return _Pace(mean(row["seconds"] for row in standing.history), None, None)
    return None

"""A sweep: plans, asks the ledger, hands what is left to a launcher, and reports."""

import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn
from rich.console import Console
from rich.table import Table

from stnlab.config import SweepConfig
from stnlab.errors import UserError
from stnlab.files import LOCK, locked, unwritable, write_atomically
from stnlab.folder import ReadOnlyError
from stnlab.stopping import Stop, StoppedError, TerminatedError
from stnlab.sweep.ledger import Standing, Status, forget_data, look, seconds_left, share_done
from stnlab.sweep.names import Name
from stnlab.sweep.outcome import print_table
from stnlab.sweep.plan import PlannedRun, StudyPlan, Tell, plan, studies
from stnlab.sweep.progress import SweepProgress, say_left, told

# A worker that dies without a word (killed, out of memory) takes its run's attempt with it.
_MAX_ATTEMPTS = 3
_WAIT_SECONDS = 1.0
_UNFINISHED = (Status.missing, Status.interrupted, Status.shorter)
_PIPE_WIDTH = 400  # nothing is folded where there is no screen


Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]


class Sweep:
    """The runs of a study or a grid, and who brings them to their end.

    Args:
        config: the sweep's own keys.
        overrides: the command line's.
        launch: a Hydra launcher's: takes the overrides of some runs and waits for their end.
        num_workers: how many runs ``launch`` has going at once, where that is known; else 1.

    Raises:
        UserError: the overrides make no sense.
    """

    def __init__(
        self, config: SweepConfig, overrides: Sequence[str], launch: Launch, num_workers: int
    ) -> None:
        self.config, self.launch, self.num_workers = config, launch, num_workers
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = _PIPE_WIDTH
        self.studies = studies(config, overrides)
        with told(self.console) as tell:
            self.plans = plan(config, overrides, self.studies, tell)
            forget_data()
            self.standings = _look_at(self.plans, tell)

    def to_the_end(self) -> None:
        """Run what is not complete, and report; with ``dry_run`` only say what is to be done.

        Raises:
            UserError: a run's folder holds another config, or some runs failed.
            StoppedError: on Ctrl-C or SIGTERM.
        """
        standings, console = self.standings, self.console
        if self.config.dry_run:
            _print_plan(console, standings, self.num_workers)
            return
        if not self.config.overwrite:
            _refuse_other_configs(standings)
        num_done = sum(each.status is Status.done for each in standings)
        told: set[int] = set()
        is_read_only = False
        try:
            changed = _write_records(self.plans)
        except ReadOnlyError:  # as another user's, which is complete all the same
            if num_done < len(standings):
                raise
            is_read_only, changed = True, False
        if num_done:
            console.print(f"{num_done} of {len(standings)} runs are complete")
        if num_done < len(standings):
            changed = True
            with SweepProgress(console, standings, self.num_workers) as progress:
                self._run()
            told = progress.told
        if is_read_only:
            for each in self.plans:
                print_table(console, each.path)
            return
        self._report(changed)
        _tell_failures(standings, told)

    def _run(self) -> None:
        """Launch what is not complete until all is, or has failed."""
        attempts: Counter[Path] = Counter()
        broken = ""
        while True:
            now = [look(each.run) for each in self.standings]
            left = [each.run for each in now if _should_start(each, attempts)]
            if left:
                attempts.update(run.folder.path for run in left)
                broken = self._launch(left, attempts) or broken
            elif any(each.status is Status.running for each in now):
                time.sleep(_WAIT_SECONDS)  # another sweep's; should it die, this one takes over
            else:
                break
        for each in now:
            if each.status in _UNFINISHED:
                text = (
                    f"its process ended {_MAX_ATTEMPTS} times without a result. The launcher said: "
                    f"{broken or 'nothing'}"
                )
                try:
                    each.run.folder.note_error(text)
                except OSError as error:
                    raise unwritable(each.run.folder.path, error) from error

    def _launch(self, runs: list[PlannedRun], attempts: "Counter[Path]") -> str:
        """Launch some runs and wait for them; returns what broke the launcher, if anything did."""
        try:
            returned = self.launch([run.overrides for run in runs], 0)
            outcomes = [each.return_value for each in returned]
        except (KeyboardInterrupt, TerminatedError) as stop:
            raise _stopped(stop) from stop
        except Exception as error:  # each engine has its own for a worker that was killed
            if not any(_has_begun(run) for run in runs):
                raise UserError(
                    f"hydra/launcher could start nothing ({type(error).__name__}: {error}). "
                    "python sweep.py --help names the engines and what each needs."
                ) from error
            return f"{type(error).__name__}: {error}"
        if "stopped" in outcomes:
            raise _stopped(KeyboardInterrupt())
        for run, outcome in zip(runs, outcomes, strict=True):
            if outcome == "busy":
                attempts[run.folder.path] -= 1
        return ""

    def _report(self, changed: bool) -> None:
        """Write each study's summary and report, and one over several."""
        from stnlab.report import is_current, write_report

        places = [([each.path], each.path) for each in self.plans]
        for study, parts in self.studies:
            if study.parts:
                names = {part.name for part in parts}
                own = [each.path for each in self.plans if each.study and each.study.name in names]
                name = self.config.name or study.name
                if self.config.name and len(self.studies) > 1:
                    name = f"{name}-{study.name}"
                places.append((own, Path(self.config.output_dir) / name))
        for folders, out in places:
            if changed or not is_current(folders, out):
                write_report(folders, out)
            if out in [each.path for each in self.plans]:
                print_table(self.console, out)
            self.console.print(f"report: {out / 'report.html'}", soft_wrap=True, markup=False)


def _look_at(plans: Sequence[StudyPlan], tell: Tell) -> list[Standing]:
    runs = [run for each in plans for run in each.runs]
    found: list[Standing] = []
    for run in runs:
        tell(f"looking for results … {len(found)} of {len(runs)} runs")
        found.append(look(run))
    return found


def _has_begun(run: PlannedRun) -> bool:
    if not run.folder.config.exists():
        return False
    return look(run).status not in (Status.other_config, Status.shorter)


def _should_start(standing: Standing, attempts: "Counter[Path]") -> bool:
    tried = attempts[standing.run.folder.path]
    if standing.status in _UNFINISHED:
        return tried < _MAX_ATTEMPTS
    return standing.status in (Status.failed, Status.other_config) and tried == 0


def _stopped(by: Stop) -> StoppedError:
    return StoppedError(
        "stopped. What is complete stays, and so does each run's last whole epoch; the same "
        "command goes on from there. Jobs that a cluster has accepted go on without it.",
        by,
    )


def _refuse_other_configs(standings: list[Standing]) -> None:
    others = [each for each in standings if each.status is Status.other_config]
    if others:
        more = f" So do {len(others) - 1} more of its runs." if len(others) > 1 else ""
        raise UserError(f"{others[0].message}{more} Nothing was started.")


def _write_records(plans: list[StudyPlan]) -> bool:
    """Note in each folder what it should hold; returns whether that is new."""
    program = Path(sys.argv[0]).name
    python = ["python"] if program.endswith(".py") else []  # installed, it is a command by itself
    command = shlex.join([*python, program, *sys.argv[1:]])
    changed = False
    for each in plans:
        path = each.path / "sweep.json"
        text = json.dumps(each.record(command), indent=2) + "\n"
        try:
            with locked(each.path / LOCK):  # two sweeps may begin at once
                if path.exists() and path.read_bytes() == text.encode():
                    continue
                write_atomically(path, text)
        except OSError as error:
            raise ReadOnlyError(str(unwritable(path, error))) from error
        changed = True
    return changed


def _tell_failures(standings: list[Standing], told: set[int]) -> None:
    """Name the runs that failed, and say why where that was not told when it happened."""
    failed = [place for place, each in enumerate(standings) if each.status is not Status.done]
    if failed:
        lines = []
        for place in failed:
            each = standings[place]
            reason = (each.message or each.status.value).splitlines()[-1]
            lines.append(f"  {each.run}" + ("" if place in told else f": {reason}"))
        raise UserError(
            f"{len(failed)} of {len(standings)} runs failed; each folder's error.txt has the whole "
            "story, and the same command tries them again:\n" + "\n".join(lines)
        )


def _print_plan(console: Console, standings: Sequence[Standing], num_workers: int) -> None:
    """``dry_run``: each cell's seeds by status, and the time left."""
    table = Table(box=None, pad_edge=False)
    for column in ("study", "cell"):
        table.add_column(column)
    statuses = [status for status in Status if any(each.status is status for each in standings)]
    for status in statuses:
        table.add_column(status.value)
    cells: dict[tuple[str, str], list[Standing]] = {}
    for each in standings:
        study = each.run.folder.path.parent.parent.name
        cells.setdefault((study, each.run.cell), []).append(each)
    for (study, cell), rows in cells.items():
        table.add_row(Name(study), Name(cell), *(_seeds(rows, status) for status in statuses))
    console.print(table)
    for each in standings:
        if each.message:
            console.print(f"{each.run}: {each.message.splitlines()[-1]}", markup=False)
    num_done = sum(each.status is Status.done for each in standings)
    if num_done == len(standings):
        console.print(f"all {num_done} runs are done")
        return
    console.print(
        f"{num_done} of {len(standings)} runs done; time left, {num_workers} at once: "
        f"{_estimate(standings, num_workers)}",
        soft_wrap=not console.is_terminal,
    )


def _estimate(standings: Sequence[Standing], num_workers: int) -> str:
    """The time left in words, and what it is learned from."""
    left = seconds_left(standings, num_workers)
    if left is not None:
        return f"{say_left(left)}, learned from what is done"
    from stnlab.sweep.speed import NUM_STEPS, seconds_an_epoch  # it takes torch

    left = seconds_left(standings, num_workers, seconds_an_epoch(standings))
    if left is None:
        return "no run is done yet to learn from"
    return f"{say_left(left)}, learned from {NUM_STEPS} steps of training on this machine just now"


def _seeds(rows: list[Standing], status: Status) -> str:
    """The seeds with that status; with the epochs of those under way."""
    return ", ".join(
        f"{each.run.config.seed}"
        + (f" ({share_done(each):.0%})" if each.history and status is not Status.done else "")
        for each in rows
        if each.status is status
    )

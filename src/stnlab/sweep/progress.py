"""What a person sees of a sweep: a live table in a terminal, a line a run in a pipe.

All of it is read from the folders, so it is the same for runs on this machine and on a cluster.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import TracebackType

from rich.console import Console, Group
from rich.constrain import Constrain
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from stnlab.evaluation import headline
from stnlab.sweep.ledger import (
    Left,
    Phase,
    Standing,
    Status,
    left_of_each,
    look,
    phase,
    seconds_left,
    share_done,
)
from stnlab.sweep.names import Name

_TERMINAL_SECONDS, _PIPE_SECONDS = 0.5, 1.0
_PATIENCE_SECONDS = 1.0  # without a word
_ENDED = (Status.done, Status.failed)


class SweepProgress:
    """Watches the folders of a sweep's runs, from entering to leaving the context.

    ``standings`` is brought up to date in place.
    """

    def __init__(self, console: Console, standings: list[Standing], num_workers: int) -> None:
        self._console = console
        self._num_workers = num_workers
        self._standings = standings
        self._failed_before = {
            index for index, each in enumerate(standings) if each.status is Status.failed
        }
        self._stop = threading.Event()
        self.told: set[int] = set()  # the places of the runs whose failure was told
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._live: Live | None = None
        self._bar = Progress(
            TextColumn("{task.fields[ended]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task("all", total=len(standings), ended="", left="")

    def __enter__(self) -> "SweepProgress":
        if self._console.is_terminal:
            self._live = Live(
                self._table(), console=self._console, transient=True, auto_refresh=False
            )
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
        if self._live is not None:
            self._live.stop()

    def _watch(self) -> None:
        pause = _PIPE_SECONDS if self._live is None else _TERMINAL_SECONDS
        while not self._stop.wait(pause):
            self._look()

    def _look(self) -> None:
        """Read the folders of the runs that have not ended, and show what is new."""
        for index, before in enumerate(self._standings):
            if before.status is Status.done:
                continue
            now = self._standings[index] = look(before.run)
            if now.status is not Status.failed:
                self._failed_before.discard(index)
            if now.status is not before.status:
                self._tell(now)
                if now.status is Status.failed:
                    self.told.add(index)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)

    def _tell(self, now: Standing) -> None:
        """A line where a run starts, ends or fails."""
        status = now.status
        if status is Status.running and self._live is not None:
            return  # the table shows it
        if status not in (Status.running, *_ENDED):
            return
        line = (
            f"[{self._num_ended()}/{len(self._standings)}] {status.value} {now.run}{_result(now)}"
        )
        left = self._left()
        if status in _ENDED and left and self._live is None:  # else the table shows it
            line += f"; {left}"
        self._console.print(line, soft_wrap=self._live is None, markup=False)

    def _left(self) -> str:
        """The estimate of the time left, in words."""
        num_running = sum(each.status is Status.running for each in self._standings)
        open_or_done = [
            each
            for index, each in enumerate(self._standings)
            if each.status is Status.done or not self._has_ended(index)
        ]
        left = seconds_left(open_or_done, max(self._num_workers, num_running, 1))
        if left is None or self._num_ended() == len(self._standings):
            return ""
        return f"{say_left(left)} left"

    def _has_ended(self, index: int) -> bool:
        """Whether a run is done, or has failed in this sweep: an earlier failure is tried again."""
        status = self._standings[index].status
        return status is Status.done or (
            status is Status.failed and index not in self._failed_before
        )

    def _num_ended(self) -> int:
        return sum(map(self._has_ended, range(len(self._standings))))

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column in ("study", "cell"):
            table.add_column(column)
        table.add_column("seed", justify="right", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for column in ("validation", "time left"):
            table.add_column(column, justify="right", no_wrap=True)
        standings = self._standings
        for each, left in zip(standings, left_of_each(standings), strict=True):
            if each.status is Status.running:
                config = each.run.config
                table.add_row(
                    Name(each.run.folder.path.parent.parent.name),
                    Name(each.run.cell),
                    str(config.seed),
                    _state(each),
                    _validation(each),
                    "" if left is None else clock(max(left.seconds, 1)),
                )
        num_ended = self._num_ended()
        num_failed = num_ended - sum(each.status is Status.done for each in standings)
        failed = f", {num_failed} failed" if num_failed else ""
        self._bar.update(
            self._task,
            completed=sum(
                1.0 if self._has_ended(index) else share_done(each)
                for index, each in enumerate(standings)
            ),
            ended=f"{num_ended} of {len(standings)} ended{failed}",
            left=self._left(),
        )
        waits = not table.row_count and num_ended < len(standings)
        # The terminal writes a ^C of its own at the end, and one that ran over could not be erased.
        bar = Constrain(self._bar, self._console.width - len("^C") - 1)
        return Group("workers are starting …" if waits else table, bar)


def _state(standing: Standing) -> str:
    """What a running run does, and in which of its epochs."""
    doing = phase(standing)
    if doing is not Phase.training:
        return doing.value if doing else ""
    epochs = standing.run.config.trainer.max_epochs
    return f"{doing.value} {len(standing.history) + 1}/{epochs}"


def _validation(standing: Standing) -> str:
    return headline.say(standing.history[-1], prefix="val_") if standing.history else ""


def _result(standing: Standing) -> str:
    if standing.metrics is not None:
        metrics = standing.metrics
        collapsed = f", collapsed: {metrics['collapsed_reason']}" if metrics["collapsed"] else ""
        took = clock(sum(metrics["seconds"].values()))
        return f": {headline.say_result(metrics)}, {took}{collapsed}"
    if standing.message:
        return f": {standing.message.splitlines()[-1]}"
    return ""


@contextlib.contextmanager
def told(console: Console) -> Iterator[Callable[[str], None]]:
    """Where what comes before a sweep can say how far it is: in a terminal, and after a second."""
    began, status = time.monotonic(), console.status("")

    def tell(words: str) -> None:
        if console.is_terminal and time.monotonic() - began > _PATIENCE_SECONDS:
            status.update(words)
            status.start()

    try:
        yield tell
    finally:
        status.stop()


def say_left(left: Left) -> str:
    """The time left in words; never that there is none, as long as something is left."""
    seconds = max(round(left.seconds), 1)
    return f"{'about' if left.is_whole else 'more than'} {clock(seconds)}"


def clock(seconds: float) -> str:
    """``h:mm:ss``."""
    return str(timedelta(seconds=round(seconds)))

"""Kill a run with SIGKILL again and again: it must end as one that was never disturbed.

    python tests/reliability/kill.py --kills 50 --seed 0

Half of the kills come after a random time, the others at one of the run's own steps: just before
it opens, renames or removes a file, or up to 10 ms later. Each kill is followed by the same command
again. A run that ends in spite of its kill is compared with the undisturbed one, and another begun.
Most runs are forks of one process, which spares them the seconds that imports take; some are real
``python train.py`` commands.

The exit status is 0 where everything was the same.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console
from same_run import (
    KINDS,
    DifferenceError,
    check_same_bytes,
    check_same_metrics,
    check_same_results,
    without_seconds,
)

from stnlab.config import PROJECT_DIR, compose, folder
from stnlab.errors import UserError
from stnlab.run import train
from stnlab.run.recorder import load_checkpoint

_PROCESS_SHARE = 0.1  # of the kills
_LONGEST_DELAY = 0.01  # seconds
# Of an episode, a process, a time.
_VARYING = re.compile(r"\d{3,}")
_GROWING = ("history.csv", "steps.csv")  # with each epoch
_FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}

Hook = Callable[[str, tuple[object, ...]], None]


@dataclass
class Place:
    """Where a run, and all that it writes, lies."""

    kind: str
    path: Path

    def __post_init__(self) -> None:
        self.temporary.mkdir(parents=True)

    @property
    def temporary(self) -> Path:
        """What the run takes for the system's folder for temporary files."""
        return self.path / "tmp"

    @property
    def overrides(self) -> list[str]:
        own = [f"output_dir={self.path / 'outputs'}"]
        if self.kind == "clinical":
            own.append(f"dataset.root={self.path / 'data'}")
        return [*KINDS[self.kind], *own]

    @property
    def run(self) -> Path:
        return folder(compose(self.overrides))


@dataclass
class Undisturbed:
    """A run to compare with."""

    place: Place
    seconds: float
    steps: list[str] = field(default_factory=list)  # each file event, in order


# --- a run in a forked child


def start(place: Place, on_step: Callable[[str], None] | None = None) -> int:
    """Begin the run, or go on with it, in a child of this process; returns its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        tempfile.tempdir = str(place.temporary)
        if on_step is not None:
            sys.addaudithook(_hook(place, on_step))
        train(compose(place.overrides), Console(quiet=True))
        status = 0
    except BaseException:
        (place.path / "error.txt").write_text(traceback.format_exc())
    os._exit(status)


def _hook(
    place: Place, on_step: Callable[[str], None]
) -> Callable[[str, tuple[object, ...]], None]:
    root = f"{place.path}{os.sep}"

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event not in _FILE_EVENTS:
            return
        if event == "open" and str(arguments[1]).startswith("r"):
            return
        path = str(arguments[1 if event == "os.rename" else 0])
        if path.startswith(root) and ".lock" not in path and "error.txt" not in path:
            on_step(f"{event} {_VARYING.sub('#', Path(path).name)}")

    return hook


def wait(child: int, place: Place) -> bool:
    """Wait for a child's end; returns whether it was killed. Its failure is one of the test."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGKILL:
        return True
    if status:
        raise DifferenceError(f"the run failed: {(place.path / 'error.txt').read_text()}")
    return False


def undisturbed(place: Place) -> Undisturbed:
    steps = place.path / "steps.txt"

    def note(step: str) -> None:
        if "steps.txt" not in step:
            with steps.open("a") as file:
                file.write(f"{step}\n")

    began = time.monotonic()
    wait(start(place, note), place)
    return Undisturbed(place, time.monotonic() - began, steps.read_text().splitlines())


def kill_at_step(place: Place, name: str, occurrence: int, delay: float) -> bool:
    """Kill the run ``delay`` seconds after it is about to do ``name`` for the n-th time."""
    seen = 0

    def on_step(step: str) -> None:
        nonlocal seen
        seen += step == name
        if step == name and seen == occurrence:
            if delay == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(delay, os.kill, [os.getpid(), signal.SIGKILL]).start()

    return wait(start(place, on_step), place)


def kill_after(place: Place, seconds: float) -> bool:
    child = start(place)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return wait(child, place)


def kill_process(place: Place, seconds: float) -> bool:
    """As :func:`kill_after`, with the command that a user gives."""
    process = subprocess.Popen(
        [sys.executable, str(PROJECT_DIR / "train.py"), *place.overrides],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(place.temporary)},
    )
    try:
        _, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode:
        raise DifferenceError(f"train.py failed: {err.decode()}")
    return False


# --- what must hold


def check_whole(run: Path, expected: Undisturbed) -> None:
    """What has its name is whole, at any moment."""
    if (run / "metrics.json").exists():  # killed on its last steps
        check_same_metrics(run, expected.place.run)
    for name in ("last.ckpt", "best.ckpt"):
        if (run / "checkpoints" / name).exists():
            load_checkpoint(run / "checkpoints" / name)
    before = expected.place.run
    for name in _GROWING:
        rows, whole = (without_seconds(each / name) for each in (run, before))
        if rows != whole[: len(rows)]:
            raise DifferenceError(f"{name} is {rows}, should begin {whole}")
    for path in before.glob("*.csv"):
        found = run / path.name
        if path.name not in _GROWING and found.exists():
            check_same_bytes(found, path)


def check_same(place: Place, expected: Undisturbed) -> None:
    """The run has ended as the undisturbed one did."""
    left = [str(path.relative_to(place.path)) for path in _temporaries(place)]
    if left:
        raise DifferenceError(f"left over: {', '.join(left)}")
    check_same_results(place.run, expected.place.run)


def _temporaries(place: Place) -> list[Path]:
    """What a run needs only while it goes on."""
    own = place.path.rglob("*")
    in_the_systems_folder = place.temporary.rglob("*")
    return [*(path for path in own if path.suffix in (".tmp", ".lock")), *in_the_systems_folder]


# --- the whole


def torment(root: Path, kind: str, num_kills: int, chosen: random.Random) -> tuple[int, list[str]]:
    """Kill runs of one kind; returns how many were compared, and how they differ."""
    expected = undisturbed(Place(kind, root / kind / "undisturbed"))
    steps = expected.steps
    # The rare ones as often as the frequent ones, in an order of chance.
    names = chosen.sample(sorted(set(steps)), k=len(set(steps)))
    print(
        f"{kind}: an undisturbed run takes {expected.seconds:.1f} s and {len(steps)} steps of "
        f"{len(names)} kinds",
        flush=True,
    )
    num_done = num_tried = num_runs = 0
    differences = []
    while num_done < num_kills:
        place = Place(kind, root / kind / f"run-{num_runs}")
        num_runs += 1
        try:
            killed = True
            while killed and num_done < num_kills:
                moment, killed = _kill_once(place, expected, names, num_tried, chosen)
                num_tried += 1
                if killed:
                    num_done += 1
                    epochs = len(without_seconds(place.run / "history.csv"))
                    print(f"{num_done:>4} {moment}; {epochs} epochs are kept", flush=True)
                    check_whole(place.run, expected)
                else:
                    print(f"     it ended before the moment came ({moment})", flush=True)
            wait(start(place), place)  # once more, where it is complete
            check_same(place, expected)
            print("     the end is the same", flush=True)
        except (DifferenceError, UserError, OSError, ValueError) as error:
            differences.append(str(error))
            print(f"     NOT THE SAME: {error}", flush=True)
    return num_runs, differences


def _kill_once(
    place: Place, expected: Undisturbed, names: list[str], number: int, chosen: random.Random
) -> tuple[str, bool]:
    if chosen.random() < _PROCESS_SHARE:
        seconds = chosen.uniform(0, 2 * expected.seconds + 6)  # the imports, too
        return f"train.py, after {seconds:.2f} s", kill_process(place, seconds)
    if number % 2:
        seconds = chosen.uniform(0, expected.seconds)
        return f"after {seconds:.2f} s", kill_after(place, seconds)
    name = names[number // 2 % len(names)]
    # A run that goes on does less than a whole one.
    occurrence = 1 + chosen.randrange(1 + expected.steps.count(name) // 2)
    delay = chosen.choice([0, chosen.uniform(0, _LONGEST_DELAY)])
    moment = f"{1000 * delay:.1f} ms after '{name}' ({occurrence})"
    return moment, kill_at_step(place, name, occurrence, delay)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of all kinds together (50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--kind", choices=KINDS, action="append", help="the default is all")
    arguments = parser.parse_args()
    kinds = arguments.kind or list(KINDS)
    num_runs, differences, began = 0, [], time.monotonic()
    with tempfile.TemporaryDirectory() as root:
        for number, kind in enumerate(kinds):
            share = len(range(number, arguments.kills, len(kinds)))
            chosen = random.Random(f"{arguments.seed} {kind}")
            num_of_kind, found = torment(Path(root), kind, share, chosen)
            num_runs += num_of_kind
            differences += found
    print(
        f"{arguments.kills} kills, {num_runs} runs compared with an undisturbed one, "
        f"{len(differences)} not the same ({time.monotonic() - began:.0f} s)"
    )
    for difference in differences:
        print(f"FAILED: {difference}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

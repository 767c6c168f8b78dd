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
import json
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

import torch
from rich.console import Console
from short_run import SHORT

from stnlab.config import PROJECT_DIR, compose, folder
from stnlab.errors import UserError
from stnlab.run import train
from stnlab.run.recorder import load_checkpoint

KINDS = {
    "digits": ["dataset=rot90", "model=stn", *SHORT, "trainer.max_epochs=3"],
    "clinical": [
        "dataset=mimic",
        "dataset.source=synthetic",
        "dataset.num_train=200",
        "dataset.num_val=60",
        "dataset.num_test=80",
        "model=ts-stn",
        *SHORT,
        "trainer.max_epochs=3",
        "trainer.limit_test_batches=1.0",
    ],
}
_PROCESS_SHARE = 0.1  # of the kills
_LONGEST_DELAY = 0.01  # seconds
# Of an episode, a process, a time; of a name that tempfile made up.
_VARYING = re.compile(r"\d{3,}|[a-z0-9_]{8}(?=\.tmp$)")
_FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}
_NOT_THE_SAME = {"metrics.json", "history.csv", "config.yaml", "checksums.sha256"}  # by bytes

Hook = Callable[[str, tuple[object, ...]], None]


class DifferenceError(AssertionError):
    """A run is not as it should be."""


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
        _same_metrics(run, expected.place.run)
    for name in ("last.ckpt", "best.ckpt"):
        if (run / "checkpoints" / name).exists():
            load_checkpoint(run / "checkpoints" / name)
    before = expected.place.run
    history, whole = (_without_seconds(each / "history.csv") for each in (run, before))
    if history != whole[: len(history)]:
        raise DifferenceError(f"history.csv is {history}, should begin {whole}")
    for path in before.glob("*.csv"):
        found = run / path.name
        if path.name != "history.csv" and found.exists():
            _same_bytes(found, path)


def check_same(place: Place, expected: Undisturbed) -> None:
    """The run has ended as the undisturbed one did."""
    run, before = place.run, expected.place.run
    names, expected_names = _names(run), _names(before)
    if names != expected_names:
        raise DifferenceError(f"left over or missing: {sorted(names ^ expected_names)}")
    left = [str(path.relative_to(place.path)) for path in _temporaries(place)]
    if left:
        raise DifferenceError(f"left over: {', '.join(left)}")
    for name in sorted(names):
        if name.endswith(".ckpt"):
            _same_weights(run / name, before / name)
        elif name not in _NOT_THE_SAME:
            _same_bytes(run / name, before / name)
    if _without_seconds(run / "history.csv") != _without_seconds(before / "history.csv"):
        raise DifferenceError("history.csv differs")
    _same_metrics(run, before)


def _same_metrics(run: Path, before: Path) -> None:
    metrics, whole = (json.loads((each / "metrics.json").read_text()) for each in (run, before))
    for key in metrics.keys() | whole.keys():
        if key not in ("seconds", "environment") and metrics[key] != whole[key]:
            raise DifferenceError(f"metrics.json: {key} is {metrics[key]}, should be {whole[key]}")


def _temporaries(place: Place) -> list[Path]:
    """What a run needs only while it goes on."""
    own = place.path.rglob("*")
    in_the_systems_folder = place.temporary.rglob("*")
    return [*(path for path in own if path.suffix in (".tmp", ".lock")), *in_the_systems_folder]


def _names(run: Path) -> set[str]:
    files = (path for path in run.rglob("*") if path.is_file())
    return {str(path.relative_to(run)) for path in files if "tfevents" not in path.name}


def _same_bytes(found: Path, expected: Path) -> None:
    if found.read_bytes() != expected.read_bytes():
        raise DifferenceError(f"{found.name} differs")


def _same_weights(found: Path, expected: Path) -> None:
    one, other = load_checkpoint(found), load_checkpoint(expected)
    if one["global_step"] != other["global_step"]:
        raise DifferenceError(f"{found.name}: other steps")
    for name, weight in other["state_dict"].items():
        if not torch.equal(one["state_dict"][name], weight):
            raise DifferenceError(f"{found.name}: {name} differs")


def _without_seconds(path: Path) -> list[str]:
    if not path.exists():
        return []
    header, *rows = path.read_text().splitlines()
    columns = [index for index, name in enumerate(header.split(",")) if name != "seconds"]
    return [",".join(row.split(",")[index] for index in columns) for row in rows]


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
                    epochs = len(_without_seconds(place.run / "history.csv"))
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

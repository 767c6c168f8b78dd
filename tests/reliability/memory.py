"""Memory, open files and threads over many epochs, and over many runs in one process.

    python tests/reliability/memory.py --epochs 100 --runs 50

The exit status is 0 where nothing grows once the first fifth has warmed up, and nothing stays open,
after a run that fails as well.
"""

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console

from stnlab.config import compose
from stnlab.errors import UserError
from stnlab.run import train
from stnlab.run.recorder import Recorder

# A few steps an epoch: what is kept of each step, epoch and run shows, and not what it computes.
TINY = [
    "dataset=rot90",
    "model=stn",
    "trainer.limit_train_batches=3",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
]
# MiB after the warm-up. The C allocator breathes: over 250 runs the size went up and down between
# 905 and 966 and ended where it began. One copy of the images is 180.
MOST_GROWTH = 48.0
NAN = "optimizer.lr=1.0e+30"  # the loss becomes no number, and the run fails


def resident() -> float:
    """What the process holds of the memory, in MiB."""
    (line,) = [
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return int(line.split()[1]) / 1024


def num_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def growth(sizes: list[float]) -> float:
    """The mean of the last fifth over that of the second one."""
    fifth = max(len(sizes) // 5, 1)
    before, after = sizes[fifth : 2 * fifth], sizes[-fifth:]
    return sum(after) / len(after) - sum(before) / len(before)


def over_epochs(root: Path, num_epochs: int) -> list[float]:
    """One run; its size after each epoch."""
    sizes: list[float] = []
    at_epoch_end = Recorder.on_train_epoch_end

    def note(self: Recorder, *arguments: object) -> None:
        at_epoch_end(self, *arguments)
        sizes.append(resident())

    Recorder.on_train_epoch_end = note
    try:
        one_run(root, "name=epochs", f"trainer.max_epochs={num_epochs}")
    finally:
        Recorder.on_train_epoch_end = at_epoch_end
    return sizes


def over_runs(root: Path, num_runs: int) -> list[float]:
    """The size after each of many runs, the same ones again and again."""
    sizes = []
    for number in range(num_runs):
        one_run(root, f"name=runs-{number}", "trainer.max_epochs=1")
        sizes.append(resident())
    return sizes


def one_run(root: Path, *overrides: str) -> None:
    train(compose([*TINY, f"output_dir={root}", *overrides]), Console(quiet=True))


def failing_run(root: Path) -> None:
    with contextlib.suppress(UserError):
        one_run(root, "name=fails", "trainer.max_epochs=1", NAN)
        raise AssertionError("it should have failed")


def left_open(root: Path) -> str:
    """What one whole and one failing run leave open; empty for nothing."""
    one_run(root, "name=first", "trainer.max_epochs=1")  # some libraries open what they keep
    before = num_open(), threading.active_count()
    one_run(root, "name=second", "trainer.max_epochs=1")
    failing_run(root)
    after = num_open(), threading.active_count()
    return "" if after == before else f"(files, threads) were {before}, are {after}"


def show(what: str, sizes: list[float]) -> bool:
    """Print ten of the sizes; returns whether they stay the same."""
    grown = growth(sizes)
    step = max(len(sizes) // 10, 1)
    shown = "  ".join(f"{sizes[at]:.0f}" for at in range(step - 1, len(sizes), step))
    print(f"{len(sizes)} {what}, MiB: {sizes[0]:.0f} | {shown} | growth {grown:+.1f}", flush=True)
    return grown < MOST_GROWTH


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--runs", type=int, default=50)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        leaks = left_open(root)
        print(f"left open: {leaks or 'nothing'}", flush=True)
        are_flat = [
            show("epochs", over_epochs(root, arguments.epochs)),
            show("runs", over_runs(root, arguments.runs)),
        ]
        open_after = num_open(), threading.active_count()
        print(f"open files and threads at the end: {open_after}")
    print(f"{time.monotonic() - began:.0f} s")
    return 0 if all(are_flat) and not leaks else 1


if __name__ == "__main__":
    sys.exit(main())

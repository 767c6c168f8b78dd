"""How quickly a sweep is planned and looked at, and how long a command takes to start.

    python -m benchmarks.planning [--against CHECKOUT]           a minute or two

Everything in seconds of the processor, which other work on the machine changes less than the
clock's. Each measurement is a process of its own; with CHECKOUT, another tree of the project with
its own .venv, the two are taken in turn, and what is told is how many times as long it takes there.
Written to benchmarks/results/planning.json.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stnlab.config import PROJECT_DIR
from stnlab.folder import RunFolder
from stnlab.schema import SweepConfig
from stnlab.sweep.ledger import Status, look
from stnlab.sweep.plan import plan

RUNS_OF = {  # overrides of grids, by their number of runs at five seeds
    200: ["model=cnn,stn", "optimizer.lr=0.001,0.01", "dataset.batch_size=range(1,11)"],
    2_000: ["dataset=rot90,RTS", "model=cnn,stn", "dataset.batch_size=range(1,101)"],
    10_000: ["model=cnn,stn", "optimizer.lr=range(1,11)", "dataset.batch_size=range(1,101)"],
}
STARTS = {
    "train.py --help": ["train.py", "--help"],
    "sweep.py --help": ["sweep.py", "--help"],
    "what a run imports": ["-c", "import stnlab.run"],
    "train.py, two batches": [
        "train.py",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=2",
        "trainer.limit_val_batches=1",
        "trainer.limit_test_batches=1",
        "trainer.enable_progress_bar=false",
        "output_dir=OUT",
    ],
    "sweep.py, 200 runs, dry_run": ["sweep.py", *RUNS_OF[200], "dry_run=true", "output_dir=OUT"],
}


def seconds(tree: Path, arguments: list[str]) -> float:
    """Of the processor, that a process of a tree's Python takes with all that it starts."""
    python = tree / ".venv" / "bin" / "python"
    with tempfile.TemporaryDirectory() as out:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [python if python.exists() else sys.executable]
            + [each.replace("OUT", out) for each in arguments],
            cwd=tree,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def starts(against: Path | None, rounds: int) -> dict[str, dict[str, object]]:
    """Median seconds of each command here, and how many times as long it takes there."""
    found: dict[str, dict[str, object]] = {}
    for name, arguments in STARTS.items():
        here, ratios = [], []
        for _ in range(rounds):
            here.append(seconds(PROJECT_DIR, arguments))
            if against is not None:
                ratios.append(seconds(against, arguments) / here[-1])
        found[name] = {"seconds": round(statistics.median(here), 2)}
        if ratios:
            found[name]["times_as_long_there"] = round(statistics.median(ratios), 2)
            found[name]["of"] = [round(each, 2) for each in sorted(ratios)]
    return found


def _used() -> float:
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime


def plans() -> dict[str, dict[str, float]]:
    """Seconds to plan grids, and the most memory until then, in MB; and to look at fresh runs."""
    found = {}
    for num_runs, grid in RUNS_OF.items():
        began = _used()
        (*planned,) = plan(SweepConfig(), [*grid, "output_dir=nowhere"])
        took = _used() - began
        runs = [run for each in planned for run in each.runs]
        assert len(runs) == num_runs
        began = _used()
        assert all(look(run).status is Status.missing for run in runs)
        found[f"{num_runs} runs"] = {
            "plan_seconds": round(took, 2),
            "cells_a_second": round(num_runs / 5 / took),
            "look_seconds": round(_used() - began, 2),
            "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
    return found


def finished_runs(num_runs: int) -> dict[str, float]:
    """Seconds to look at so many runs that are complete."""
    from stnlab.config import to_plain

    metrics = {
        "status": "complete",
        "test": {},
        "best": {"test": {}},
        "seconds": {"setup": 1.0, "train": 1.0, "test": 1.0},
    }
    with tempfile.TemporaryDirectory() as out:
        planned = plan(SweepConfig(), [*RUNS_OF[num_runs], f"output_dir={out}"])
        runs = [run for each in planned for run in each.runs]
        for run in runs:
            folder = RunFolder(run.folder.path)
            folder.claim(to_plain(run.config), overwrite=False)
            folder.history.write_text("epoch,loss\n1,0.5\n", encoding="utf-8")
            folder.finish(metrics)
        began = _used()
        assert all(look(run).status is Status.done for run in runs)
        return {"seconds": round(_used() - began, 2), "runs": num_runs}


def main() -> None:
    """Measure, show and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another tree of the project")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    against = arguments.against and arguments.against.resolve()
    each_start = starts(against, arguments.rounds)
    result = {
        "command": "python -m benchmarks.planning" + (" --against CHECKOUT" if against else ""),
        "python": platform.python_version(),
        "unit": "seconds of the processor",
        "load": [round(each, 1) for each in os.getloadavg()],
        "plans": plans(),
        "finished": finished_runs(2_000),
        "starts": each_start,
    }
    console, table = Console(), Table(box=None)
    for column in ("start", "seconds", "times as long there"):
        table.add_column(column)
    for name, each in each_start.items():
        table.add_row(name, str(each["seconds"]), str(each.get("times_as_long_there", "")))
    console.print(result["plans"], result["finished"], table)
    path = Path(__file__).parent / "results" / "planning.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

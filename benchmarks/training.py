"""How fast a training step is: ours against a naive pipeline, a bare loop, and a tree before.

    python -m benchmarks.training            about 12 minutes
    python -m benchmarks.training --avx2     as on a processor without AVX-512
    python -m benchmarks.training --quick    under 3 minutes, written beside the full one's result
    python -m benchmarks.training --before ../stnlab-before    ... and against another checkout

Everything is measured in alternation, in short bursts of processes that are all there from the
beginning, so that a machine that slows down slows all alike; who is not asked stands still. A ratio
is that of two neighbouring bursts; its median and its range are told. "side by side" runs two of
our processes at a time, one thread each, as a sweep does on two cores; its figure is a run's time
for a step, divided by the two runs. The naive pipeline may use both cores (threads and DataLoader
workers), the best of 0, 2 and 4 workers. --before names a checkout of another commit with a .venv
in it, measured side by side, too, by its own benchmarks/worker.py, which answers as this one does.
The result is written to benchmarks/results/training-CLASS.json, by the class of the processor.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import RESULTS, as_avx2, flop_rate, machine, processor_class
from benchmarks.worker import flops, short_config
from stnlab.kernels import compiled

CASES = (
    # dataset, model, init, runs in the image study, training examples (SEED's, nothing held out)
    ("RTS", "cnn", "identity", 10, 60_000),
    ("RTS", "stn", "identity", 10, 60_000),
    ("two-channel", "cnn", "identity", 5, 119_999),
    ("two-channel", "multi-stn", "identity", 5, 119_999),
    ("same-image", "cnn", "identity", 5, 119_999),
    ("same-image", "multi-stn", "left-right", 30, 119_999),
)
BATCH_SIZE, EPOCHS = 64, 10
NAIVE = ("naive-0", "naive-2", "naive-4")


class Worker:
    """A process of ``benchmarks.worker``, by the stnlab of this checkout or of another."""

    def __init__(self, kind: str, case: tuple[Any, ...], steps: int, tree: Path | None = None):
        python = sys.executable if tree is None else str(tree / ".venv" / "bin" / "python")
        self.command = [python, "-m", "benchmarks.worker", kind, *case[:3], str(steps)]
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tree,
            start_new_session=True,  # DataLoader's workers stand still with it
        )

    def ask(self, what: str) -> None:
        assert self.process.stdin is not None
        os.killpg(self.process.pid, signal.SIGCONT)
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                os.killpg(self.process.pid, signal.SIGSTOP)
                return found
            said.append(line)
        raise RuntimeError(f"{' '.join(self.command)} failed:\n{''.join(said)}")

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # an epoch would go to its end
            self.process.wait()


def burst(workers: list[Worker], what: str = "go") -> dict[str, float]:
    """All workers at the same time: the slowest, divided by their number.

    Twice, and the second counts: a machine may take back memory that stood still for seconds.
    """
    for _ in range(2):
        for worker in workers:
            worker.ask(what)
        found = [worker.answer() for worker in workers]
    slowest = max(each["ms_per_step"] for each in found)
    return {"ms": slowest / len(workers), "peak": max(each["peak_mib"] for each in found)}


def measure_case(
    case: tuple[Any, ...], rounds: int, steps: int, before: Path | None
) -> dict[str, Any]:
    """All kinds in turn, ``rounds`` times; medians."""
    ours = [Worker("ours", case, steps) for _ in range(2)]
    kinds = {"ours side by side": (ours, "go")}
    if before is not None:
        theirs = [Worker("ours", case, steps, before) for _ in range(2)]
        kinds["before side by side"] = (theirs, "go")
    kinds |= {"ours": (ours[:1], "go"), "bare": (ours[:1], "bare")}
    kinds |= {kind: ([Worker(kind, case, steps // 3)], "go") for kind in NAIVE}
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    try:
        for number in range(rounds + 1):
            for kind, (workers, what) in kinds.items():
                result = burst(workers, what)
                if number > 0:  # the first warms up
                    found[kind].append(result)
    finally:
        for workers, _ in kinds.values():
            for worker in workers:
                worker.end()
    ms = {kind: [each["ms"] for each in results] for kind, results in found.items()}
    medians = {kind: statistics.median(each) for kind, each in ms.items()}
    best_naive = min(NAIVE, key=medians.__getitem__)
    row = {
        "dataset": case[0],
        "model": case[1],
        "ms_per_step": medians,
        "best_naive": best_naive,
        "over_naive": _ratio(ms[best_naive], ms["ours side by side"]),
        "lightning_overhead": _ratio(ms["ours"], ms["bare"])["median"] - 1,
        "images_per_second": BATCH_SIZE / medians["ours side by side"] * 1000,
        "flops_per_step": flops(short_config(*case[:3], steps)),
        "peak_mib": max(each["peak"] for each in found["ours side by side"]),
    }
    if before is not None:
        row["over_before"] = _ratio(ms["before side by side"], ms["ours side by side"])
        row["peak_mib_before"] = max(each["peak"] for each in found["before side by side"])
    return row


def _ratio(slower: list[float], faster: list[float]) -> dict[str, float]:
    """Of neighbouring bursts."""
    ratios = [one / other for one, other in zip(slower, faster, strict=True)]
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def study_hours(rows: list[dict[str, Any]]) -> float:
    """Training time of the whole image study on two cores, from the side-by-side figures."""
    seconds = 0.0
    for row, (*_, runs, examples) in zip(rows, CASES, strict=True):
        steps = runs * EPOCHS * -(-examples // BATCH_SIZE)
        seconds += steps * row["ms_per_step"]["ours side by side"] / 1000
    return seconds / 3600


def show(rows: list[dict[str, Any]], rate: float, console: Console) -> None:
    table = Table(box=None, title="ms a step, batch 64", title_justify="left")
    columns = ("", "side by side", "alone", "bare loop", "naive, best", "naive/ours", "before/ours")
    for column in (*columns, "over bare", "of FLOP limit", "peak MiB"):
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        ms = row["ms_per_step"]
        limit = row["flops_per_step"] / (2 * rate) * 1000
        table.add_row(
            f"{row['dataset']} {row['model']}",
            f"{ms['ours side by side']:.2f}",
            f"{ms['ours']:.2f}",
            f"{ms['bare']:.2f}",
            f"{ms[row['best_naive']]:.1f} ({row['best_naive'][-1]} workers)",
            _told(row["over_naive"]),
            _told(row.get("over_before")),
            f"{row['lightning_overhead']:+.1%}",
            f"{limit / ms['ours side by side']:.0%}",
            f"{row['peak_mib']:.0f}",
        )
    console.print(table)
    console.print(f"matrix product: {rate / 1e9:.0f} GFLOP/s a core")
    console.print(f"the image study's 65 runs, training alone: {study_hours(rows):.2f} hours")


def _told(ratio: dict[str, float] | None) -> str:
    return "" if ratio is None else "{median:.1f}x ({least:.1f}-{most:.1f})".format(**ratio)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--avx2", action="store_true", help="without AVX-512")
    parser.add_argument("--before", type=Path, help="another checkout, with a .venv")
    parser.add_argument("--quick", action="store_true", help="short bursts")
    arguments = parser.parse_args()
    if arguments.avx2:
        as_avx2()
    rounds, steps = (5, 24) if arguments.quick else (6, 60)
    console = Console(width=160)
    rate = flop_rate()
    rows = []
    for case in CASES:
        rows.append(measure_case(case, rounds, steps, arguments.before))
        console.print(f"{case[0]} {case[1]}: {rows[-1]['ms_per_step']}", soft_wrap=True)
    show(rows, rate, console)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"training-{processor_class()}{'-quick' if arguments.quick else ''}.json"
    options = [
        option
        for option, is_given in (
            ("--avx2", arguments.avx2),
            ("--before", arguments.before),
            ("--quick", arguments.quick),
        )
        if is_given
    ]
    result = {
        "command": " ".join(["python -m benchmarks.training", *options]),
        "machine": machine(),
        "kernel": compiled.path(),
        "flop_rate": rate,
        "rounds": rounds,
        "steps": steps,
        "study_hours": study_hours(rows),
        "cases": rows,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"written to {path}", soft_wrap=True)


if __name__ == "__main__":
    main()

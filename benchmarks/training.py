"""How fast a training step is: ours against a naive pipeline and against a bare loop.

    python -m benchmarks.training            the full measurement, about 12 minutes
    python -m benchmarks.training --quick    under 3 minutes

Everything is measured in alternation in one run, so that a machine that slows down slows all
alike. "side by side" runs two of our processes at a time, one thread each, as a sweep does on two
cores; its figure is a run's time for a step, divided by the two runs. The naive pipeline may use
both cores (threads and DataLoader workers), the best of 0, 2 and 4 workers. The result is written
to benchmarks/results/training.json (--quick: training-quick.json).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

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
RESULTS = Path(__file__).parent / "results"


def measure(kind: str, case: tuple[Any, ...], steps: int, side_by_side: int = 1) -> dict[str, Any]:
    """The median over ``side_by_side`` processes that measure at the same time."""
    command = [sys.executable, "-m", "benchmarks.worker", kind, *case[:3], str(steps)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(side_by_side)
    ]
    for process in processes:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "ready\n":
                break
    found = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{out}")
        found.append(json.loads(out.splitlines()[-1]))
    slowest = max(each["ms_per_step"] for each in found)
    return {**found[0], "ms_per_step": slowest / side_by_side}


def flop_rate() -> float:
    """FLOP/s of a large single-precision matrix product on one thread."""
    torch.set_num_threads(1)
    a = torch.randn(1536, 1536)
    times = []
    for _ in range(12):
        began = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - began)
    return 2 * 1536**3 / min(times)


def measure_case(case: tuple[Any, ...], rounds: int, steps: int) -> dict[str, Any]:
    """All kinds in turn, ``rounds`` times; medians."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for kind in ("ours side by side", *NAIVE):
            pair = kind == "ours side by side"
            result = measure("ours" if pair else kind, case, steps, side_by_side=2 if pair else 1)
            found.setdefault(kind, []).append(result)
    ms = {kind: statistics.median(r["ms_per_step"] for r in each) for kind, each in found.items()}
    both = measure("ours-and-bare", case, steps)
    ms |= {"ours": both["ms_per_step"], "bare": both["bare_ms_per_step"]}
    best_naive = min(NAIVE, key=ms.__getitem__)
    flops = both["flops"]
    return {
        "dataset": case[0],
        "model": case[1],
        "ms_per_step": ms,
        "best_naive": best_naive,
        "ratio_to_naive": ms[best_naive] / ms["ours side by side"],
        "lightning_overhead": ms["ours"] / ms["bare"] - 1,
        "images_per_second": BATCH_SIZE / ms["ours side by side"] * 1000,
        "flops_per_step": flops,
        "peak_mib": max(each["peak_mib"] for each in found["ours side by side"]),
    }


def study_hours(rows: list[dict[str, Any]]) -> float:
    """Training time of the whole image study on two cores, from the side-by-side figures."""
    seconds = 0.0
    for row, (*_, runs, examples) in zip(rows, CASES, strict=True):
        steps = runs * EPOCHS * -(-examples // BATCH_SIZE)
        seconds += steps * row["ms_per_step"]["ours side by side"] / 1000
    return seconds / 3600


def show(rows: list[dict[str, Any]], rate: float, console: Console) -> None:
    table = Table(box=None, title="ms a step, batch 64", title_justify="left")
    columns = ("", "side by side", "alone", "bare loop", "naive, best", "ratio", "over bare")
    for column in (*columns, "images/s", "of FLOP limit", "peak MiB"):
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
            f"{row['ratio_to_naive']:.1f}x",
            f"{row['lightning_overhead']:+.1%}",
            f"{row['images_per_second']:.0f}",
            f"{limit / ms['ours side by side']:.0%}",
            f"{row['peak_mib']:.0f}",
        )
    console.print(table)
    console.print(f"matrix product: {rate / 1e9:.0f} GFLOP/s a core")
    console.print(f"the image study's 65 runs, training alone: {study_hours(rows):.2f} hours")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of few steps")
    quick = parser.parse_args().quick
    rounds, steps = (1, 25) if quick else (2, 120)
    console = Console(width=140)
    rate = flop_rate()
    rows = []
    for case in CASES:
        rows.append(measure_case(case, rounds, steps))
        console.print(f"{case[0]} {case[1]}: {rows[-1]['ms_per_step']}", soft_wrap=True)
    show(rows, rate, console)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / ("training-quick.json" if quick else "training.json")
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    command = f"python -m benchmarks.training{' --quick' if quick else ''}"
    result = {
        "command": command,
        "machine": machine,
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

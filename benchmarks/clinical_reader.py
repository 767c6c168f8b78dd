"""The MIMIC-III reader against a plain discretizer, on one core, alternating in one run.

    python -m benchmarks.clinical_reader           half a minute
    python -m benchmarks.clinical_reader --root data/in-hospital-mortality

The plain one goes through an episode row by row and field by field, as the rule is usually told.
Both make the same (48, 76) arrays, which is checked. Without --root, copies of the synthetic
episodes of tests/data/mimic-conformance are read; a root's own training part is read as it is, and
its cache is neither used nor written. Written to benchmarks/results/clinical_reader.json.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from stnlab.data import mimic
from stnlab.data.mimic import cache as mimic_cache
from stnlab.data.mimic.columns import columns_of
from stnlab.data.mimic.episodes import read_hours
from stnlab.data.mimic.variables import NUM_HOURS, VARIABLES

CONFORMANCE = Path(__file__).parents[1] / "tests" / "data" / "mimic-conformance"
ROUNDS = 7
NUM_COPIES = 50
NUM_PLAIN = 100  # episodes that the plain discretizer reads in a round


def plain(path: Path) -> NDArray[np.float32]:
    """The (48, 76) array of one episode, imputed from the previous value."""
    with path.open() as file:
        header = file.readline().strip().split(",")
        rows = [line.strip().split(",") for line in file]
    found: list[dict[str, str]] = [{} for _ in range(NUM_HOURS)]
    for row in rows:
        hour = float(row[0])
        if hour <= NUM_HOURS + 1e-6:
            for name, value in zip(header[1:], row[1:], strict=True):
                if value:
                    found[int(hour - 1e-6)][name] = value
    x = np.zeros((NUM_HOURS, len(mimic.COLUMNS)), np.float32)
    previous = {variable.name: variable.normal for variable in VARIABLES}
    for hour in range(NUM_HOURS):
        previous |= found[hour]
        column = 0
        for place, variable in enumerate(VARIABLES):
            value = previous[variable.name]
            if variable.categories:
                x[hour, column + variable.categories.index(value)] = 1
            else:
                x[hour, column] = float(value)
            column += len(variable.columns)
            x[hour, len(mimic.COLUMNS) - len(VARIABLES) + place] = variable.name in found[hour]
    return x


def measure(folder: Path, stays: list[str]) -> dict[str, float]:
    """Median milliseconds an episode of each way."""
    paths = [folder / stay for stay in stays[:NUM_PLAIN]]
    digest = mimic_cache.ContentDigest()
    x = columns_of(read_hours(folder, stays, digest.add), "previous")
    for path, ours in zip(paths, x, strict=False):
        np.testing.assert_array_equal(plain(path), ours)

    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary) / "train.npz"

        def parsed() -> None:
            digest = mimic_cache.ContentDigest()
            hours = read_hours(folder, stays, digest.add)
            columns_of(hours, "previous")
            mimic_cache.store(cache, digest.hexdigest(), hours)

        def from_cache() -> None:
            kept = mimic_cache.load(cache, len(stays))
            assert kept is not None
            assert kept[0] == mimic_cache.digest_of(folder, stays)
            columns_of(kept[1], "previous")

        ways = {
            "plain": (lambda: [plain(path) for path in paths], len(paths)),
            "ours, parsed": (parsed, len(stays)),
            "ours, from the cache": (from_cache, len(stays)),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, (way, num_episodes) in ways.items():
                began = time.perf_counter()
                way()
                times[name].append(1000 * (time.perf_counter() - began) / num_episodes)
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, help="a folder in the benchmark's form")
    root = parser.parse_args().root
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as temporary:
        if root is None:
            folder, stays = Path(temporary), []
            for path in sorted(CONFORMANCE.glob("*/*_timeseries.csv")):
                for number in range(NUM_COPIES):
                    stays.append(f"{number}_{path.name}")
                    shutil.copy(path, folder / stays[-1])
        else:
            folder, stays = root / "train", mimic.stays_of(root, "train")
        np.random.default_rng(0).shuffle(stays)
        ms = measure(folder, stays)
    table = Table("one core", "ms an episode", "plain is", box=None)
    for name, each in ms.items():
        table.add_row(name, f"{each:.3f}", f"{ms['plain'] / each:.1f}x")
    Console(width=120).print(table)
    if root is None:
        path = Path(__file__).parent / "results" / "clinical_reader.json"
        path.parent.mkdir(exist_ok=True)
        result = {
            "command": "python -m benchmarks.clinical_reader",
            "num_episodes": len(stays),
            "ms_an_episode": ms,
            "plain_over_ours": {name: ms["plain"] / each for name, each in ms.items()},
        }
        path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

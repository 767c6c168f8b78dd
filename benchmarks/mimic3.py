"""MIMIC-III's tables to episodes, at several sizes: rows a second, peak memory, and the whole.

    python -m benchmarks.mimic3 --raw FOLDER       of the open demo's tables

The open demo's tables are repeated, in each copy with other subjects, admissions and stays, until
CHARTEVENTS has 2, 5 and 10 million rows; the command then makes the episodes of each, in a process
of its own, and its memory (PSS, all its processes together) is looked at every 50 ms. A line
through the times gives the extrapolation to the credentialed table's 330.7 million rows. The values
stay those of the demo. Run it on a machine with nothing else to do: the result,
benchmarks/results/mimic3.json, holds the load before and after, and the processors' seconds, which
depend on it less than the clock's.

Also, in the same run: how polars and duckdb compare in what the first scan and the buckets need
(pip install duckdb; --quick leaves it out).
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from stnlab.mimic3.items import ITEMS
from stnlab.mimic3.tables import COLUMNS, find_tables

ROWS = 330_712_484  # of the credentialed CHARTEVENTS
IDS = ("SUBJECT_ID", "HADM_ID", "ICUSTAY_ID")
STRIDE = 1_000_000  # above every id of MIMIC-III


def repeat(raw: Path, target: Path, num_rows: int) -> None:
    """Write the tables of ``raw`` again and again, until CHARTEVENTS has ``num_rows`` rows."""
    target.mkdir()
    tables = {
        name: pl.read_csv(table.path, infer_schema=False)
        for name, table in find_tables(raw).items()
    }
    num_charts = len(tables["CHARTEVENTS"])
    num_copies = -(-num_rows // num_charts)
    for name, rows in tables.items():
        with (target / f"{name}.csv").open("wb") as file:
            for copy in range(1 if name == "D_ICD_DIAGNOSES" else num_copies):
                last = name == "CHARTEVENTS" and copy == num_copies - 1
                part = rows.head(num_rows - copy * num_charts) if last else rows
                moved = [
                    (pl.col(each).cast(pl.Int64) + copy * STRIDE).cast(pl.String)
                    for each in IDS
                    if each in rows.columns
                ]
                part.with_columns(moved).write_csv(file, include_header=copy == 0)


def run(command: list[str]) -> dict[str, float]:
    """Seconds that a command takes, on the clock and of processors, and the most bytes it holds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_memory, _family(process.pid))))
        time.sleep(0.05)
    if process.returncode:
        sys.exit(process.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": time.perf_counter() - began,
        "CPU seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak bytes": peak,
    }


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in _family(int(child)))]


def _memory(pid: int) -> int:
    """Bytes of a process, pages that several share in parts (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def engines(charts: Path, folder: Path) -> dict[str, float]:
    """Seconds of each engine: rows of the 114 items to one file, and to 64 buckets by subject."""
    import duckdb

    wanted = list(COLUMNS["CHARTEVENTS"])
    header = pl.read_csv(charts, n_rows=0, infer_schema=False).columns

    def by_polars(buckets: bool) -> None:
        lazy = pl.scan_csv(charts, infer_schema=False).select(wanted)
        lazy = lazy.filter(pl.col("ITEMID").is_in(list(ITEMS)) & pl.col("VALUE").is_not_null())
        if buckets:
            lazy = lazy.with_columns(bucket=pl.col("SUBJECT_ID").hash() % 64)
            lazy.sink_parquet(pl.PartitionBy(folder / "polars", key="bucket"), mkdir=True)
        else:
            lazy.sink_ipc(folder / "polars.arrow")

    def by_duckdb(buckets: bool) -> None:
        connection = duckdb.connect(config={"threads": os.cpu_count()})
        # Left to itself it takes this table for one without quotes, by its first rows.
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in header)
        source = (
            f"read_csv('{charts}', auto_detect=false, header=true, delim=',', quote='\"', "
            f"escape='\"', columns={{{columns}}})"
        )
        items = ", ".join(f"'{item}'" for item in ITEMS)
        bucket = ", hash(SUBJECT_ID) % 64 AS bucket" if buckets else ""
        query = (
            f"SELECT {', '.join(wanted)}{bucket} FROM {source} "
            f"WHERE ITEMID IN ({items}) AND VALUE IS NOT NULL"
        )
        place = "duckdb" if buckets else "duckdb.parquet"
        how = "FORMAT parquet, PARTITION_BY (bucket)" if buckets else "FORMAT parquet"
        connection.execute(f"COPY ({query}) TO '{folder / place}' ({how})")

    found = {}
    for buckets, stage in ((False, "scan"), (True, "buckets")):
        for name, way in (("polars", by_polars), ("duckdb", by_duckdb)):
            times = []
            for _ in range(3):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                began = time.perf_counter()
                way(buckets)
                times.append(time.perf_counter() - began)
            found[f"{name}, {stage}"] = min(times)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--raw", type=Path, required=True, help="the open demo's tables")
    parser.add_argument("--millions", type=float, nargs="+", default=[2, 5, 10])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--memory", default="2G")
    parser.add_argument("--folder", type=Path, help="for the tables; the system's, if not given")
    parser.add_argument("--quick", action="store_true", help="no comparison of engines")
    given = parser.parse_args()
    millions_given = " ".join(f"{each:g}" for each in given.millions)
    result: dict[str, Any] = {
        "command": (
            f"python -m benchmarks.mimic3 --raw DEMO --millions {millions_given} "
            f"--jobs {given.jobs} --memory {given.memory}"
        ),
        "versions": {"python": platform.python_version(), "polars": pl.__version__},
        "load before": os.getloadavg()[0],
        "sizes": [],
    }
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        for millions in given.millions:
            tables, out = Path(temporary) / "tables", Path(temporary) / "out"
            repeat(given.raw, tables, round(millions * 1e6))
            command = [sys.executable, "-m", "stnlab.mimic3", str(tables), str(out)]
            command += ["--jobs", str(given.jobs), "--memory", given.memory]
            took = run(command)
            log = json.loads((out / "log.json").read_text())
            result["sizes"].append(
                {
                    "rows of CHARTEVENTS": round(millions * 1e6),
                    "rows a second": millions * 1e6 / took["seconds"],
                    **took,
                    "samples": sum(part["stays"] for part in log["samples"].values()),
                    "seconds of stages": log["seconds of stages"],
                }
            )
            if not given.quick and millions == given.millions[0]:
                result["engines"] = engines(tables / "CHARTEVENTS.csv", Path(temporary) / "engines")
            shutil.rmtree(tables)
            shutil.rmtree(out)
    result["load after"] = os.getloadavg()[0]
    rows, *times = (
        np.array([each[key] for each in result["sizes"]], float)
        for key in ("rows of CHARTEVENTS", "seconds", "CPU seconds")
    )
    if len(rows) > 1:
        result["extrapolated"] = {"rows of CHARTEVENTS": ROWS}
        for name, each in zip(("seconds", "CPU seconds"), times, strict=True):
            slope, start = np.polyfit(rows, each, 1)
            result["extrapolated"] |= {
                name: float(start + slope * ROWS),
                f"micro{name} a row": float(slope * 1e6),
            }
    table = Table("million rows", "seconds", "CPU", "rows/s", "peak MiB", "stages", box=None)
    for each in result["sizes"]:
        table.add_row(
            f"{each['rows of CHARTEVENTS'] / 1e6:g}",
            f"{each['seconds']:.1f}",
            f"{each['CPU seconds']:.1f}",
            f"{each['rows a second'] / 1e6:.2f} million",
            f"{each['peak bytes'] / 2**20:.0f}",
            ", ".join(f"{name} {took:.1f}" for name, took in each["seconds of stages"].items()),
        )
    console = Console(width=140)
    console.print(table)
    console.print(result.get("extrapolated"), result.get("engines"))
    path = Path(__file__).parent / "results" / "mimic3.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""What a sweep says at its end: the rows of its report's table, and what became of its claims."""

import csv
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stnlab.sweep.names import Name


def print_table(console: Console, folder: Path) -> None:
    """Print the main metric of each cell, from the ``summary.csv`` and ``.json`` of a report."""
    if not (folder / "summary.csv").exists():
        return
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    first: dict[tuple[str, str], dict[str, str]] = {}
    for row in found:
        first.setdefault((row["dataset"], row["cell"]), row)
    rows = list(first.values())
    has_published = any(row["published_mean"] for row in rows)
    is_published = any(row["published_mean"] for row in found)
    table = Table(box=None, pad_edge=False)
    table.add_column("cell")
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("mean ± sd", justify="right", no_wrap=True)
    table.add_column("collapsed", justify="right")
    if has_published:
        table.add_column("published", justify="right", no_wrap=True)
        table.add_column("verdict", overflow="fold")
    several = len({row["dataset"] for row in rows}) > 1
    for row in rows:
        cell = f"{row['dataset']} {row['cell']}" if several else row["cell"]
        failed = f" ({row['failed']} missing)" if row["failed"] != "0" else ""
        shown: list[str | Name] = [Name(cell), f"{row['n']}{failed}"]
        shown += [_mean(row["mean"], row["std"]), _collapsed(row)]
        if has_published:
            shown += [_mean(row["published_mean"], row["published_std"]), row["verdict"]]
        table.add_row(*shown)
    metrics = ", ".join(dict.fromkeys(row["metric"] for row in rows))
    console.print(f"{folder.name}: {metrics}, in %", soft_wrap=True, markup=False)
    console.print(table)
    from stnlab.report.claims import say_verdict  # which the report has imported by now

    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for study in summary["studies"]:
        for claim in study["claims"]:
            console.print(
                f"{say_verdict(claim['verdict'], is_published)}: {claim['text']}. "
                f"{claim['summary']}",
                soft_wrap=not console.is_terminal,
                markup=False,
            )


def _mean(mean: str, sd: str) -> str:
    if not mean:
        return "–"
    spread = f" ± {100 * float(sd):.2f}" if sd else ""
    return f"{100 * float(mean):.2f}{spread}"


def _collapsed(row: dict[str, str]) -> str:
    if row["collapsed"] in ("", "0"):
        return "0"
    without = row.get("mean_without_collapsed", "")
    return f"{row['collapsed']}; {_mean(without, '')} without" if without else row["collapsed"]

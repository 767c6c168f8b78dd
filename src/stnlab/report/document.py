"""The report over one sweep's folder, or several: files in, files out."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stnlab.files import LOCK, locked, unwritable, write_atomically
from stnlab.report import numerals
from stnlab.report.markdown import Markup, code_block, render, to_html
from stnlab.report.protocol import environment_facts, protocol_differences
from stnlab.report.published import PublishedResult, read_published
from stnlab.report.results import RunState, read_study
from stnlab.report.statistics import (
    CONSISTENT,
    HIGHER,
    LOWER,
)
from stnlab.report.study_figures import draw_study
from stnlab.report.summary import Row, StudyResult, as_csv, as_json, summarise

_SIGNS = {
    CONSISTENT: "✓ consistent",
    HIGHER: "▲ higher",
    LOWER: "▼ lower",
    "reproduced": "✓ reproduced",
    "partly reproduced": "◐ partly reproduced",
    "not reproduced": "✗ not reproduced",
    "same direction, but not beyond chance": "◐ same direction, but not beyond chance",
}


def write_report(folders: Sequence[Path], out: Path) -> None:
    """Write ``summary.csv``, ``summary.json``, ``report.md``, ``report.html`` and ``figures/``.

    All is read from the folders; nothing is trained or tested.

    Args:
        folders: sweeps' folders, in the order in which they are reported.
        out: where to write; the folder itself where there is one.

    Raises:
        UserError: a folder is no sweep's, or ``out`` cannot be written.
    """
    for folder in folders:
        read_study(folder)  # nothing is made where there is none
    try:
        with locked(out / LOCK):  # two sweeps may end at once, and the last one has seen all runs
            _write(folders, out)
    except OSError as error:
        raise unwritable(out, error) from error


def _write(folders: Sequence[Path], out: Path) -> None:
    studies = [read_study(folder) for folder in folders]
    published = read_published()
    results = [summarise(study, published) for study in studies]
    figures = [draw_study(result, published, out / "figures") for result in results]
    title = studies[0].name if len(studies) == 1 else out.resolve().name
    markdown = render(
        "report.md",
        _FILTERS,
        title=title,
        results=list(zip(results, figures, strict=True)),
        protocol=protocol_differences(studies),
        facts=environment_facts(studies),
        num_tests=sum(_num_tests(result) for result in results),
        commands=list(dict.fromkeys(study.command for study in studies if study.command)),
        rebuild=_rebuild_command(folders, out),
    )
    images = {f"figures/{figure.path.name}": figure.path for group in figures for figure in group}
    write_atomically(out / "summary.csv", as_csv(results))
    write_atomically(out / "summary.json", as_json(results))
    write_atomically(out / "report.md", markdown)
    write_atomically(out / "report.html", to_html(markdown, title, images))


def _rebuild_command(folders: Sequence[Path], out: Path) -> str:
    words = ["python", "-m", "stnlab.report", *map(str, folders)]
    if [out] != list(folders):
        words += ["--out", str(out)]
    return shlex.join(words)


def _num_tests(result: StudyResult) -> int:
    """How many p values and intervals of differences a reader sees."""
    rows = sum(row.comparison.interval is not None for row in result.rows)
    pairs = [pair for claim in result.claims for pair in claim.pairs]
    return rows + sum(max(1, len(pair.points)) for pair in pairs)


# --- what the template asks for


def _published(row: Row) -> str:
    sample = row.published_sample
    return (
        numerals.NONE
        if sample.mean is None
        else f"{numerals.spread(sample)} ({numerals.runs(sample.n)})"
    )


def _also_published(result: StudyResult) -> list[str]:
    """What was published of a cell beside the row that it is compared with."""
    return [
        f"{row.cell.name}: {_one_published(each)}"
        for row in result.rows
        for each in row.published
        if each is not row.published[0] or not each.sample.n
    ]


def _one_published(each: PublishedResult) -> str:
    count = numerals.runs(each.sample.n) if each.sample.n else "number of runs not said"
    note = f"; {each.note}" if each.note else ""
    return f"{numerals.spread(each.sample)}% ({count}; {each.source}{note})"


def _sources(result: StudyResult) -> list[str]:
    """Where the published numbers in the table come from; by cell, unless it is one place."""
    compared = [(row, row.published[0]) for row in result.rows if row.published_sample.n]
    sources = {
        row.cell.name: f"{each.source} ({each.note})" if each.note else each.source
        for row, each in compared
    }
    if len(set(sources.values())) == 1:
        return list(sources.values())[:1]
    return [f"{cell}: {source}" for cell, source in sources.items()]


def _by_dataset(result: StudyResult) -> list[tuple[str, list[list[Row]]]]:
    """The rows of each cell, dataset by dataset: datasets differ in their metrics."""
    datasets = list(dict.fromkeys(cell.dataset for cell in result.study.cells))
    return [
        (name, [result.rows_of(cell) for cell in result.study.cells if cell.dataset == name])
        for name in datasets
    ]


def _seed_columns(rows: Sequence[Sequence[Row]]) -> list[int]:
    return sorted({run.seed for row, *_ in rows for run in row.cell.runs})


def _seed_value(row: Row, seed: int) -> str:
    run = next((run for run in row.cell.runs if run.seed == seed), None)
    if run is None:
        return ""
    if seed not in row.values:
        return run.state.value
    return numerals.percent(row.values[seed]) + (" †" if run.collapsed else "")


def _troubles(result: StudyResult) -> list[tuple[str, int, str, str]]:
    """(cell, seed, what, reason) of each run that collapsed or has no result."""
    troubles = []
    for cell in result.study.cells:
        for run in cell.runs:
            if run.state is not RunState.complete:
                what = run.state.value + ("" if run.planned else " (not planned)")
                troubles.append((cell.name, run.seed, what, run.reason))
            elif run.collapsed:
                troubles.append((cell.name, run.seed, "collapsed", run.collapsed_reason))
    return troubles


def _sign(verdict: str) -> str:
    return _SIGNS.get(verdict, verdict)


def _sign_claim(verdict: str, result: StudyResult) -> str:
    """A claim's verdict; what nobody has published cannot be reproduced, but it may hold."""
    sign = _sign(verdict)
    if result.is_published:
        return sign
    return sign.replace("not reproduced", "does not hold").replace("reproduced", "holds")


def _image(path: Path) -> Markup:
    """The link to a figure beside the report; its name holds plain characters alone."""
    return Markup(f"figures/{path.name}")


_FILTERS: dict[str, Any] = {
    "also_published": _also_published,
    "amount": lambda amount: f"{amount:g}",
    "as_is": Markup,
    "bounds": numerals.bounds,
    "by_dataset": _by_dataset,
    "code_block": code_block,
    "decimals": numerals.decimals,
    "difference": numerals.difference,
    "image": _image,
    "label": lambda row: row.metric.label,
    "p": numerals.p,
    "percent": numerals.percent,
    "published": _published,
    "seed_columns": _seed_columns,
    "seed_value": _seed_value,
    "sign": _sign,
    "sign_claim": _sign_claim,
    "signed": numerals.signed,
    "sources": _sources,
    "spread": numerals.spread,
    "troubles": _troubles,
}

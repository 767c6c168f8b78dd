"""The report over one sweep's folder, or several: files in, files out."""

import os
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from stnlab.config import NOT_APPLICABLE
from stnlab.evaluation.recovery import UNITS
from stnlab.files import LOCK, locked, unwritable, write_atomically
from stnlab.report import numerals
from stnlab.report.across import across
from stnlab.report.claims import Point, rates_of, say_verdict
from stnlab.report.markdown import Markup, code_block, escape, render, to_html
from stnlab.report.protocol import (
    departures,
    environment_facts,
    protocol,
    protocol_differences,
)
from stnlab.report.published import (
    NOTHING,
    Entry,
    PublishedResult,
    read_challenge,
    read_published,
)
from stnlab.report.rates import NOT_RECORDED, Rate
from stnlab.report.results import (
    APART,
    CHALLENGE_METRICS,
    PLANTED_METRICS,
    Cell,
    Place,
    RunState,
    Study,
    metrics_of,
    read_study,
)
from stnlab.report.statistics import (
    CANNOT_TELL,
    CONSISTENT,
    DIFFERENT,
    MARGIN,
    MOST_COUNTED,
    Sample,
    describe,
    share,
)
from stnlab.report.study_figures import draw_claims, draw_study, file_name
from stnlab.report.summary import Row, StudyResult, as_csv, as_json, summarise

EXPLORE_PAGE = "explore.html"
_MAX_CLASSES = 12  # columns of a table
_MOST_SEEDS = 10  # that stand in a table's place, one by one
_FOUND = 0.9  # r of a warp with the planted one from which on it has found it
_SIGNS = {
    CONSISTENT: f"✓ {CONSISTENT}",
    CANNOT_TELL: f"? {CANNOT_TELL}",
    "reproduced": "✓ reproduced",
    "partly reproduced": "◐ partly reproduced",
    "not reproduced": "✗ not reproduced",
}


def write_report(folders: Sequence[Path], out: Path, option: str = "output_dir=") -> None:
    """Write ``summary.csv``, ``summary.json``, ``report.md``, ``report.html`` and ``figures/``.

    All is read from the folders; nothing is trained or tested.

    Args:
        folders: sweeps' folders, in the order in which they are reported.
        out: where to write; the folder itself where there is one.
        option: what named it on the command line.

    Raises:
        UserError: a folder is no sweep's, or ``out`` cannot be written.
    """
    for folder in folders:
        read_study(folder)  # nothing is made where there is none
    try:
        with locked(out / LOCK):  # two sweeps may end at once, and the last one has seen all runs
            _write(folders, out)
    except OSError as error:
        raise unwritable(out, error, option) from error


def _write(folders: Sequence[Path], out: Path) -> None:
    studies = [read_study(folder) for folder in folders]
    known = read_published()
    published = [known if each.is_beside_published else NOTHING for each in studies]
    results = [summarise(*each) for each in zip(studies, published, strict=True)]
    figures = [
        draw_study(result, beside, out / "figures")
        for result, beside in zip(results, published, strict=True)
    ]
    title = studies[0].name if len(studies) == 1 else out.resolve().name
    claims = draw_claims(results, out / "figures" / f"{file_name(title)}-claims.svg")
    markdown = render(
        "report.md",
        _FILTERS,
        title=title,
        results=list(zip(results, figures, strict=True)),
        protocol=protocol(studies),
        differences=protocol_differences(studies),
        departures={study.name: departures(study) for study in studies},
        margin=MARGIN,
        most_counted=MOST_COUNTED,
        found_from=_FOUND,
        facts=environment_facts(studies),
        shared=_side_by_side(results),
        num_tests=sum(_num_tests(result) for result in results),
        commands=list(dict.fromkeys(study.command for study in studies if study.command)),
        claims=claims,
        out=out,
        explore=_explore_pages(studies, out),
        rebuild=_rebuild_command(folders, out),
    )
    drawn = [*([claims] if claims else []), *(figure for group in figures for figure in group)]
    images = {f"figures/{figure.path.name}": figure.path for figure in drawn}
    write_atomically(out / "summary.csv", as_csv(results))
    write_atomically(out / "summary.json", as_json(results))
    write_atomically(out / "report.md", markdown)
    write_atomically(out / "report.html", to_html(markdown, title, images))


def _explore_pages(studies: Sequence[Study], out: Path) -> list[Markup]:
    """Links to the pages in which networks can be played with, where they lie beside the report."""
    folders = dict.fromkeys([out, *(study.folder for study in studies)])
    found = [folder / EXPLORE_PAGE for folder in folders if (folder / EXPLORE_PAGE).is_file()]
    return [_link("a page to play with", path, out) for path in found]


class SideBySide(NamedTuple):
    """What several studies have in common: a row's score in each, and a claim's difference."""

    rows: list[tuple[str, str, list[Sample]]]
    differences: list[tuple[str, str, list[str]]]


def _side_by_side(results: Sequence[StudyResult]) -> SideBySide | None:
    """None unless there are several studies, all of the same rows."""
    cells = [{(cell.name, cell.dataset) for cell in result.study.cells} for result in results]
    if len(results) < 2 or any(each != cells[0] for each in cells):
        return None
    samples: dict[tuple[str, str], list[Sample]] = {}
    differences: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for row in result.rows:
            if row.metric not in APART:
                samples.setdefault((row.cell.name, row.metric.label), []).append(row.sample)
        for claim in result.claims:
            for pair in claim.pairs:
                name = f"{pair.first} − {pair.second}"
                over = "patients" if pair.over_patients else "seeds"
                for metric, found in (
                    (claim.metric, pair.difference),
                    (claim.other_metric, pair.other_epoch),
                ):
                    if metric and found:
                        text = numerals.compared(found)
                        differences.setdefault((name, f"{metric}, over {over}"), []).append(text)
    return SideBySide(
        [(*key, each) for key, each in samples.items() if len(each) == len(results)],
        [(*key, each) for key, each in differences.items() if len(each) == len(results)],
    )


def _rebuild_command(folders: Sequence[Path], out: Path) -> str:
    words = ["python", "-m", "stnlab.report", *map(str, folders)]
    if [out] != list(folders):
        words += ["--out", str(out)]
    return shlex.join(words)


def _num_tests(result: StudyResult) -> int:
    """How many p values and intervals of differences a reader sees."""
    compared = [row.comparison for row in result.rows]
    rows = sum(each.interval is not None or each.p is not None for each in compared)
    pairs = [pair for claim in result.claims for pair in claim.pairs if pair.rates is None]
    others = sum(pair.other_epoch is not None for pair in pairs)
    return rows + others + sum(max(1, len(pair.points)) for pair in pairs)


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


def _one_source(each: PublishedResult) -> str:
    values = " ".join(map(numerals.percent, each.sample.values)) if each.sample.n > 1 else ""
    return f"{each.source}{': ' if values else ''}{values}{f' ({each.note})' if each.note else ''}"


def _one_published(each: PublishedResult) -> str:
    count = numerals.runs(each.sample.n) if each.sample.n else "number of runs not said"
    note = f"; {each.note}" if each.note else ""
    return f"{numerals.spread(each.sample)}% ({count}; {each.source}{note})"


def _interval(row: Row) -> str:
    """The interval of a row's mean; the seeds, or their range, where a t interval means nothing."""
    if row.sample.interval is not None or row.sample.n < 2:
        return numerals.bounds(row.sample.interval)
    values = [numerals.percent(each) for each in sorted(row.sample.values)]
    if len(values) > _MOST_SEEDS:
        return f"none: {len(values)} seeds, {values[0]} to {values[-1]}"
    return f"none: seeds {', '.join(values)}"


def _without_collapsed(row: Row) -> str:
    without = row.without_collapsed
    return f"{numerals.spread(without)} (n = {without.n})" if without else numerals.NONE


def _row_verdict(row: Row) -> str:
    """A row's verdict, with its direction, or with what it would take to tell."""
    found = row.comparison
    if found.verdict == DIFFERENT:
        assert found.difference is not None
        return f"▲ {DIFFERENT}, higher" if found.difference > 0 else f"▼ {DIFFERENT}, lower"
    if found.verdict != CANNOT_TELL:
        return _sign(found.verdict)
    if found.best_p is not None:
        at_best = f"; p can be {numerals.p(found.best_p)} at best"
        return f"{_sign(CANNOT_TELL)}{at_best}"
    if found.seeds_needed is not None:
        return f"{_sign(CANNOT_TELL)}; {found.seeds_needed} seeds would"
    if not found.margin:
        return f"{_sign(CANNOT_TELL)}; {found.method}"
    return f"{_sign(CANNOT_TELL)}; nor with more seeds"


def _by_challenge(result: StudyResult) -> list[tuple[str, list[str]]]:
    """The challenge's scores: (cell, a text for each of CHALLENGE_METRICS)."""
    return [
        (
            cell.name,
            [
                numerals.spread(row.sample, row.metric.scale)
                for row in result.rows_of(cell)
                if row.metric in CHALLENGE_METRICS
            ],
        )
        for cell in result.study.cells
        if any(row.metric in CHALLENGE_METRICS for row in result.rows_of(cell))
    ]


def _entries(result: StudyResult) -> list[tuple[str, str, list[Entry]]]:
    """The challenge's ranking on the sets that were tested: (set, event, entries)."""
    sets = {
        str(run.config.get("dataset", {}).get("test_set"))
        for cell in result.study.cells
        for run in cell.complete_runs()
    }
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in read_challenge():
        if entry.set in sets:
            found.setdefault((entry.set, entry.event), []).append(entry)
    return [(*key, entries) for key, entries in found.items()]


def _recovered(result: StudyResult) -> list[tuple[str, str, list[str]]]:
    """What warps took back: (cell, kind of motion and its unit, a text for each column)."""
    columns = [
        *(f"within.{name}" for name in ("r", "slope", "before", "left", "left_by_class")),
        *(f"beyond.{name}" for name in ("r", "slope", "before", "left")),
    ]
    return [
        (
            cell.name,
            f"{kind.replace('_', ' ')}, {unit}",
            [_over_seeds(cell, f"recovered.{kind}.{column}") for column in columns],
        )
        for cell in result.study.cells
        for kind, unit in UNITS.items()
        if cell.values(f"recovered.{kind}.within.left")
        or cell.values(f"recovered.{kind}.beyond.left")
    ]


def _over_seeds(cell: Cell, place: Place) -> str:
    return numerals.spread(describe(list(cell.values(place).values())), 1).replace("-", "−")


class ByClass(NamedTuple):
    """What of rotations is taken back of each class: (cell, what, a text for each of ``names``)."""

    names: list[str]
    rows: list[tuple[str, str, list[str]]]


def _recovered_by_class(result: StudyResult) -> ByClass | None:
    """None where no run tells, or where there are more classes than a table is read of."""
    place = ("recovered", "rotation", "within", "by_class")
    cells = [cell for cell in result.study.cells if cell.values("recovered.rotation.within.left")]
    names = dict.fromkeys(
        name for cell in cells for run in cell.complete_runs() for name in run.names(place)
    )
    if not 0 < len(names) <= _MAX_CLASSES:
        return None
    rows = [
        (cell.name, words, [_over_seeds(cell, (*place, name, key)) for name in names])
        for cell in cells
        for key, words in (("slope", "slope"), ("left", "left, degrees"))
    ]
    return ByClass(list(names), rows)


def _planted(result: StudyResult) -> list[tuple[str, str, list[str], str, str]]:
    """How well planted warps were found: (cell, of what, text by seed, all of them, how many)."""
    return [
        (
            cell.name,
            metric.label,
            [_found(run.value(metric.key)) for run in cell.complete_runs()],
            _over_seeds(cell, metric.key),
            _how_many_found(cell.values(metric.key).values()),
        )
        for cell in result.study.cells
        if cell.dataset == "mimic-synthetic" and cell.init != NOT_APPLICABLE
        for metric in PLANTED_METRICS
    ]


def _how_many_found(r: Collection[float]) -> str:
    num, n, interval = share(sum(each >= _FOUND for each in r), len(r))
    return f"{num} of {n} ({numerals.bounds(interval)}%)" if n else numerals.NONE


def _found(r: float | None) -> str:
    return "not recorded" if r is None else numerals.decimals(r)


def _sources(result: StudyResult) -> list[str]:
    """Where the published numbers in the table come from; by cell, unless it is one place."""
    compared = [(row, row.published[0]) for row in result.rows if row.published_sample.n]
    sources = {row.cell.name: _one_source(each) for row, each in compared}
    if len(set(sources.values())) == 1:
        return list(sources.values())[:1]
    return [f"{cell}: {source}" for cell, source in sources.items()]


def _by_dataset(result: StudyResult) -> list[tuple[str, list[list[Row]]]]:
    """The rows of each cell, dataset by dataset: datasets differ in their metrics."""
    datasets = list(dict.fromkeys(cell.dataset for cell in result.study.cells))
    return [
        (
            name,
            [
                [row for row in result.rows_of(cell) if row.metric not in APART]
                for cell in result.study.cells
                if cell.dataset == name
            ],
        )
        for name in datasets
    ]


def _seed_columns(rows: Sequence[Sequence[Row]]) -> list[int]:
    return sorted({run.seed for row, *_ in rows for run in row.cell.runs})


def _seed_value(row: Row, seed: int, out: Path) -> Markup:
    """A run's score with a link to its folder, from the report's."""
    run = next((run for run in row.cell.runs if run.seed == seed), None)
    if run is None:
        return Markup("")
    text = run.state.value
    if seed in row.values:
        text = numerals.percent(row.values[seed]) + (" †" if run.collapsed else "")
    return _link(text, run.path, out) if run.path.is_dir() else Markup(text)


def _link(text: str, path: Path, out: Path) -> Markup:
    """A link from a report in ``out``, good wherever both are moved or shown together."""
    address = quote(os.path.relpath(path, out), safe="/=")
    return Markup(f"[{text}]({address})")


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


def _since(rate: Rate) -> str:
    """From which epochs on runs were found collapsed, and how many."""
    return ", ".join(
        f"{NOT_RECORDED if epoch is None else epoch} ({numerals.runs(count)})"
        for epoch, count in rate.since
    )


def _seeds(seeds: Sequence[int]) -> str:
    """Seeds, those in a row as 0 to 4."""
    groups: list[list[int]] = []
    for seed in sorted(seeds):
        if groups and groups[-1][-1] + 1 == seed:
            groups[-1].append(seed)
        else:
            groups.append([seed])
    shown = (
        f"{each[0]} to {each[-1]}" if len(each) > 2 else ", ".join(map(str, each))
        for each in groups
    )
    return ", ".join(shown) or numerals.NONE


def _sign(verdict: str) -> str:
    return _SIGNS.get(verdict, verdict)


def _sign_claim(verdict: str, result: StudyResult) -> str:
    return say_verdict(_sign(verdict), result.is_published)


def _label(row: Row) -> str:
    """A row's metric with its unit, as a table's head has it."""
    label = row.metric.label
    return label if "× 100" in label else f"{label}, %"


def _amount(point: Point) -> str:
    """How much of one distortion, with its unit: each is drawn uniformly in plus and minus it."""
    amount = f"{point.amount:g}"
    return {
        "rotation": f"± {amount}°",
        "translation": f"± {amount} of the width",
        "scale": f"1 ± {amount}",
    }.get(point.factor, amount)


def _image(path: Path) -> Markup:
    """The link to a figure beside the report; its name holds plain characters alone."""
    return Markup(f"figures/{path.name}")


_FILTERS: dict[str, Any] = {
    "across": across,
    "also_published": _also_published,
    "by_challenge": _by_challenge,
    "entries": _entries,
    "interval": _interval,
    "recovered": _recovered,
    "recovered_by_class": _recovered_by_class,
    "row_verdict": _row_verdict,
    "compared": numerals.compared,
    "without_collapsed": _without_collapsed,
    "amount": _amount,
    "as_is": Markup,
    "bounds": numerals.bounds,
    "escaped": escape,
    "by_dataset": _by_dataset,
    "code_block": code_block,
    "decimals": numerals.decimals,
    "difference": numerals.difference,
    "image": _image,
    "label": _label,
    "main_label": lambda cell: metrics_of(cell)[0].label,
    "p": numerals.p,
    "percent": numerals.percent,
    "planted": _planted,
    "published": _published,
    "rates": lambda result: rates_of(result.claims),
    "seed_columns": _seed_columns,
    "seed_value": _seed_value,
    "sign": _sign,
    "sign_claim": _sign_claim,
    "seeds": _seeds,
    "signed": numerals.signed,
    "since": _since,
    "sources": _sources,
    "spread": numerals.spread,
    "troubles": _troubles,
}

"""A study's figures: curves and points over its seeds, beside what was published."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from stnlab.evaluation.robustness import AXIS_LABELS
from stnlab.report import clinical_figures, numerals
from stnlab.report.claims import (
    NOT_REPRODUCED,
    PARTLY,
    REPRODUCED,
    PairResult,
    training_ranges,
)
from stnlab.report.figures import plot_share_outside
from stnlab.report.panels import draw_rows
from stnlab.report.published import Published
from stnlab.report.results import Cell, Run, Tested
from stnlab.report.statistics import CANNOT_TELL, Sample, describe, paired
from stnlab.report.style import COLOURS, GREY, colour, marker, plain, save, say
from stnlab.report.summary import Row, StudyResult

Curve = dict[float, float]  # of one run: amount or epoch to a score in [0, 1]
_MANY_SEEDS = 10  # of a row; more would hide each other
_GOLDEN = (5**0.5 - 1) / 2  # whose multiples, up to whole numbers, keep apart
_SEEDS = (
    "In place of intervals that lie over each other or that a collapse leaves without meaning: a "
    "thin line for each seed, dotted where it collapsed; it counts in the mean."
)


@dataclass(frozen=True)
class StudyFigure:
    """An image file and what to say about it."""

    path: Path
    alt: str
    caption: str


def draw_study(result: StudyResult, published: Published, folder: Path) -> list[StudyFigure]:
    """Draw all figures that the results allow into ``folder``, under the study's name."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [
        draw(result, published, folder / f"{file_name(result.study.name)}-{kind}.svg")
        for kind, draw in (
            ("robustness", _draw_robustness),
            ("seeds", _draw_seeds),
            ("curves", _draw_curves),
            ("reliability", _draw_reliability),
            ("learning", _draw_learning),
            ("outside", _draw_outside),
        )
    ]
    drawn.append(_draw_methods(result, folder))
    return [*(each for each in drawn if each is not None), *_copy_warps(result, folder)]


def _where_there_is_one(result: StudyResult) -> str:
    any_collapsed = any(run.collapsed for run in result.study.complete_runs())
    return " (none where a run collapsed)" if any_collapsed else ""


def file_name(text: str) -> str:
    """``text`` as a part of a file's name that is also plain in a link."""
    return "".join(
        each if each.isascii() and (each.isalnum() or each in "-_.") else "_" for each in text
    )


# --- accuracy against distortion


def _draw_robustness(result: StudyResult, published: Published, path: Path) -> StudyFigure | None:
    """SEED figures 1b to 4b, over seeds, and the differences between the rows of a claim."""
    cells = [cell for cell in result.study.cells if cell.robustness()]
    factors = list(dict.fromkeys(factor for cell in cells for factor, _ in cell.robustness()))
    if not factors:
        return None
    pairs = _robustness_pairs(result, cells)
    figure = _figure(6.8 if pairs else 4.6, 2.5 * len(factors) + 0.5)
    panels = figure.subplots(len(factors), 2 if pairs else 1, squeeze=False)
    any_published = any_ranges = any_seeds = False
    for row, factor in zip(panels, factors, strict=True):
        trained = training_ranges(cells[0]).get(factor, 0)
        for axes in row:
            if trained > 0:
                any_ranges = True
                axes.axvspan(0, trained, color=GREY, alpha=0.13, linewidth=0, zorder=0)
            axes.set_xlabel(AXIS_LABELS.get(factor, factor), fontsize=9)
        any_seeds |= _plot_curves(row[0], cells, [_by_amount(cell, factor) for cell in cells])
        for index, cell in enumerate(cells):
            reference = published.curve(cell.dataset, cell.model, cell.init, cell.padding, factor)
            if reference is not None:
                any_published = True
                row[0].plot(
                    list(reference.accuracy),
                    [100 * accuracy for accuracy in reference.accuracy.values()],
                    linestyle=(0, (4, 3)),
                    linewidth=1,
                    color=colour(index),
                )
        row[0].set_ylabel("accuracy, %")
        for first, second in pairs:
            _plot_difference(row[1], cells.index(first), first, second, factor)
        if pairs:
            row[1].axhline(0, color="black", linewidth=0.8)
            row[1].set_ylabel("difference, points")
    for column in panels.T:
        low = min(axes.get_ylim()[0] for axes in column)
        high = max(axes.get_ylim()[1] for axes in column)
        for axes in column:
            axes.set_ylim(low, high)
    _legend(figure, cells, any_published, any_ranges)
    save(figure, path)
    several = len(pairs) > 1
    differences = ", ".join(f"{first.name} − {second.name}" for first, second in pairs)
    caption = [
        f"Accuracy on test {_examples(result)} distorted in one way at a time: mean over seeds "
        f"with its 95% interval{_where_there_is_one(result)}.",
        _SEEDS if any_seeds else "",
        f"Right: the difference{'s' if several else ''} {differences}, seed by seed, with "
        f"{'their' if several else 'its'} 95% interval."
        if pairs
        else "",
        "Shaded: what the networks were trained on." if any_ranges else "",
        "Dashed, thin: published." if any_published else "",
    ]
    return StudyFigure(
        path,
        f"Accuracy against the amount of {', '.join(factors)}, a curve for each row of the table"
        + (f"; beside it {differences}" if pairs else ""),
        " ".join(filter(None, caption)),
    )


def _by_amount(cell: Cell, factor: str) -> dict[int, Curve]:
    """Seed to accuracy by the amount of one distortion."""
    return {
        run.seed: {x: value for (name, x), value in run.robustness.items() if name == factor}
        for run in cell.complete_runs()
    }


def _robustness_pairs(result: StudyResult, cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """The rows that claims on robustness compare; where there is none, the two that there are."""
    by_name = {cell.name: cell for cell in cells}
    claimed = dict.fromkeys(
        pair
        for each in result.claims
        if each.claim.kind == "robustness"
        for pair in each.claim.pairs
        if by_name.keys() >= set(pair)
    )
    if not claimed and len(cells) == 2:
        return [(cells[0], cells[1])]
    return [(by_name[first], by_name[second]) for first, second in claimed]


def _plot_difference(axes: Axes, index: int, first: Cell, second: Cell, factor: str) -> None:
    """What seeds that both have differ by, in points, with the interval where there is one."""
    ours, theirs = first.robustness(), second.robustness()
    collapsed = bool(first.collapsed_runs() or second.collapsed_runs())
    found = {
        point[1]: paired(ours[point], theirs[point], collapsed)
        for point in ours
        if point[0] == factor and point in theirs
    }
    known = {x: each for x, each in found.items() if each.difference is not None}
    samples = {x: Sample(len(e.seeds), e.difference, None, e.interval) for x, e in known.items()}
    _plot_band(axes, index, samples, f"{first.name} − {second.name}", is_share=False)


# --- every claim


def draw_claims(results: Sequence[StudyResult], path: Path) -> StudyFigure | None:
    """A forest plot: each pair of each claim with its difference; None unless there are two."""
    lines: list[tuple[str, PairResult | None]] = []
    for result in results:
        pairs = [pair for claim in result.claims for pair in claim.pairs if _differs(pair)]
        if pairs:
            lines += [(result.study.name, None), *((_pair_name(pair), pair) for pair in pairs)]
    if sum(pair is not None for _, pair in lines) < 2:
        return None
    figure = _figure(6.8, 0.9 + 0.36 * len(lines))
    axes = figure.subplots()
    for place, (name, pair) in enumerate(lines):
        weight = "bold" if pair is None else "normal"
        axes.text(0, place - 0.28, plain(name), fontsize=8, weight=weight, va="center").set(
            transform=axes.get_yaxis_transform()
        )
        if pair is not None:
            _plot_pair(axes, place + 0.14, name, pair)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_ylim(len(lines) - 0.3, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference, points (95% interval)")
    axes.grid(axis="x", alpha=0.25)
    collapsed = any(pair is not None and pair.num_collapsed for _, pair in lines)
    without = " (none where a run collapsed)" if collapsed else ""
    handles = [
        Line2D([], [], linestyle="none", marker=mark, color=shade, label=words)
        for words, (shade, mark) in _VERDICTS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    save(figure, path)
    return StudyFigure(
        path,
        "The difference that each claim is about, pair by pair, with its 95% interval",
        "Every pair that a claim is about: the first minus the second, with its 95% interval"
        f"{without}. Right of 0 is what the claim says. Small points, where a claim is "
        "about many amounts of distortion: the difference at each.",
    )


_VERDICTS = {
    "as claimed, beyond chance": (COLOURS[0], "o"),
    "in part": (COLOURS[2], "D"),
    "the other way": (COLOURS[1], "X"),
    "these runs cannot tell": (GREY, "s"),
}


def _differs(pair: PairResult) -> bool:
    return bool(pair.points) or pair.difference.difference is not None


def _pair_name(pair: PairResult) -> str:
    over = " (over patients)" if pair.over_patients else ""
    return f"{pair.first} − {pair.second}{', every amount' if pair.points else over}"


def _plot_pair(axes: Axes, place: float, name: str, pair: PairResult) -> None:
    verdicts = dict(
        zip((REPRODUCED, PARTLY, NOT_REPRODUCED, CANNOT_TELL), _VERDICTS.items(), strict=True)
    )
    words, (shade, mark) = verdicts.get(pair.verdict, (pair.verdict, (GREY, "s")))
    for point in pair.points:
        if point.difference.difference is not None:
            (dot,) = axes.plot(
                100 * point.difference.difference, place, mark, color=shade, markersize=3.5, mew=0
            )
            amount = f"{point.factor} {point.amount:g}"
            say(dot, f"{name}, {amount}: {numerals.difference(point.difference)}")
    if pair.points or pair.difference.difference is None:
        return
    if pair.difference.interval is not None:
        low, high = (100 * end for end in pair.difference.interval)
        axes.plot([low, high], [place] * 2, color=shade, linewidth=1.6)
    (mean,) = axes.plot(100 * pair.difference.difference, place, mark, color=shade, markersize=6)
    say(mean, f"{name}: {numerals.compared(pair.difference)}; {words}")


# --- every seed


def _draw_seeds(result: StudyResult, _: Published, path: Path) -> StudyFigure | None:
    rows = [row for row in result.main_rows() if row.values]
    if not rows:
        return None
    figure = _figure(6.8, 1.3 + 0.55 * len(rows))
    axes = figure.subplots()
    for place, row in enumerate(rows):
        _plot_seeds(axes, place, row)
    axes.set_yticks(range(len(rows)), [plain(row.cell.name) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{rows[0].metric.label}, %")
    axes.grid(axis="x", alpha=0.25)
    handles = list(_seed_handles(rows))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    save(figure, path)
    published = "; grey: published mean ± standard deviation" if result.is_published else ""
    return StudyFigure(
        path,
        f"{rows[0].metric.label} of every seed, with its mean",
        f"Every seed's {rows[0].metric.label}. Diamonds and bars: mean and its 95% interval"
        f"{_where_there_is_one(result)}, collapsed seeds included{published}.",
    )


def _plot_seeds(axes: Axes, place: int, row: Row) -> None:
    collapsed = {run.seed for run in row.cell.collapsed_runs()}
    for number, (seed, value) in enumerate(row.values.items()):
        (point,) = axes.plot(
            100 * value,
            place + _height(number, len(row.values)),
            marker="X" if seed in collapsed else "o",
            markersize=8 if seed in collapsed else 6,
            markerfacecolor=COLOURS[1] if seed in collapsed else "none",
            markeredgecolor="white" if seed in collapsed else COLOURS[0],
            linestyle="none",
            zorder=3,
        )
        fate = ", collapsed" if seed in collapsed else ""
        say(point, f"{row.cell.name}, seed {seed}: {100 * value:.2f}{fate}")
    low, high = row.sample.interval or (row.sample.mean, row.sample.mean)
    if row.sample.mean is not None and low is not None and high is not None:
        ends = [100 * max(low, 0), 100 * min(high, 1)]
        axes.plot(ends, [place - 0.26] * 2, color="black", linewidth=1.6)
        (mean,) = axes.plot(100 * row.sample.mean, place - 0.26, "D", color="black", markersize=5)
        say(mean, f"{row.cell.name}: {numerals.spread(row.sample)} (n = {row.sample.n})")
    reference = row.published_sample
    if reference.mean is not None:
        sd = reference.sd or 0
        ends = [100 * max(reference.mean - sd, 0), 100 * min(reference.mean + sd, 1)]
        axes.plot(ends, [place + 0.26] * 2, color=GREY, linewidth=1.6)
        (theirs,) = axes.plot(100 * reference.mean, place + 0.26, "s", color=GREY, markersize=5)
        say(theirs, f"{row.cell.name}, published: {numerals.spread(reference)}")


def _height(number: int, num: int) -> float:
    """Where one of so many runs lies about its row's middle.

    One below the other; many far from those before and after them, which may have ended as they
    did, as two that collapsed.
    """
    if num <= _MANY_SEEDS:
        return 0.2 * (number + 0.5) / num - 0.1
    return 0.32 * (number * _GOLDEN % 1) - 0.16


def _seed_handles(rows: Sequence[Row]) -> Iterator[Line2D]:
    yield Line2D([], [], marker="o", color=COLOURS[0], mfc="none", label="a seed", linestyle="none")
    if any(row.num_collapsed for row in rows):
        yield Line2D([], [], marker="X", color=COLOURS[1], label="collapsed", linestyle="none")
    yield Line2D([], [], marker="D", color="black", label="mean, 95% interval")
    if any(row.published_sample.mean is not None for row in rows):
        yield Line2D([], [], marker="s", color=GREY, label="published, ± sd")


# --- who dies


def _draw_curves(result: StudyResult, _: Published, path: Path) -> StudyFigure | None:
    models = _predictions(result)
    if not models:
        return None
    clinical_figures.draw_curves(path, f"{_label(result)}: {_AT_BEST}", models)
    return StudyFigure(
        path,
        "ROC and precision-recall curve of each row of the table",
        f"How well each row tells who dies, {_AT_BEST}: mean over seeds, with a band from the "
        "lowest seed to the highest.",
    )


def _draw_reliability(result: StudyResult, _: Published, path: Path) -> StudyFigure | None:
    models = _predictions(result)
    if not models:
        return None
    clinical_figures.draw_reliability(path, f"{_label(result)}: {_AT_BEST}", models)
    return StudyFigure(
        path,
        "Observed against predicted mortality of each row of the table",
        f"Whether predicted probabilities are what happens, {_AT_BEST}: tenths of all seeds' "
        "predictions, with 95% Wilson intervals in which each stay counts once; below, how the "
        "predictions are spread.",
    )


_AT_BEST = "at the best validation epoch"


def _examples(result: StudyResult) -> str:
    """What the examples of all rows are called."""
    return " and ".join(dict.fromkeys(cell.examples for cell in result.study.cells))


def _label(result: StudyResult) -> str:
    """The study's datasets, by names that tell what is synthetic."""
    return ", ".join(dict.fromkeys(cell.dataset for cell in result.study.cells))


def _predictions(result: StudyResult) -> dict[str, list[clinical_figures.Predictions]]:
    """Cell to (y, p) of each seed; empty for digits."""
    models: dict[str, list[clinical_figures.Predictions]] = {}
    for cell in result.study.cells:
        found = [run.predictions("best.test.auroc") for run in cell.complete_runs()]
        seeds: list[clinical_figures.Predictions] = [
            (each.y, each.p) for each in found if each is not None
        ]
        if seeds:
            models[cell.name] = seeds
    return models


# --- learning


def _draw_learning(result: StudyResult, _: Published, path: Path) -> StudyFigure | None:
    """Validation accuracy, epoch by epoch; runs without a validation part have none."""
    name = next((name for name in ("val_auroc", "val_accuracy") if _has(result, name)), None)
    if name is None:
        return None
    measure = {"val_auroc": "AUROC", "val_accuracy": "accuracy"}[name]
    on_images = any(cell.tested is Tested.parts for cell in result.study.cells)
    distorted = " under the training distortion" if on_images else ""
    figure = _figure(6.8, 4.2)
    axes = figure.subplots()
    curves = [
        {
            run.seed: {row["epoch"]: row[name] for row in run.history if name in row}
            for run in cell.complete_runs()
        }
        for cell in result.study.cells
    ]
    any_seeds = _plot_curves(axes, result.study.cells, curves)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(f"validation {measure}, %")
    _legend(figure, result.study.cells, any_published=False)
    save(figure, path)
    seeds = f" {_SEEDS}" if any_seeds else ""
    return StudyFigure(
        path,
        f"Validation {measure} against the epoch, a curve for each row of the table",
        f"Validation {measure}{distorted}, epoch by epoch: mean over seeds with its 95% interval"
        f"{_where_there_is_one(result)}.{seeds}",
    )


def _has(result: StudyResult, name: str) -> bool:
    return any(name in row for run in result.study.complete_runs() for row in run.history)


# --- the grid outside

_MOST_VECTOR_CURVES = 60  # of more a page has an image, which is smaller, and shown sooner


def _draw_outside(result: StudyResult, _: Published, path: Path) -> StudyFigure | None:
    """The grid outside of the input against steps, run by run; None where no run collapsed."""
    cells = [cell for cell in result.study.cells if any(run.outside for run in cell.runs)]
    if not any(run.outside for cell in cells for run in cell.collapsed_runs()):
        return None
    if sum(len(cell.runs) for cell in cells) > _MOST_VECTOR_CURVES:
        path = path.with_suffix(".png")
    columns = min(len(cells), 2)
    rows = -(-len(cells) // columns)
    figure = _figure(3.4 * columns + 0.4, 2.0 * rows + 0.6)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for cell, axes in zip(cells, panels, strict=False):
        for run in sorted(cell.complete_runs(), key=lambda run: run.collapsed):
            plot_share_outside(axes, run.outside, **_FATES[run.collapsed][1])
        axes.set_title(plain(cell.name), fontsize=8)
        axes.label_outer()
    for axes in panels:
        axes.set_axis_off()
    figure.supylabel("% of the grid outside of the input", fontsize=9)
    handles = [Line2D([], [], label=words, **style) for words, style in _FATES.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    save(figure, path)
    return StudyFigure(
        path,
        "Share of the sampling grid outside of the input against the optimizer step, a line for "
        "each run, a panel for each row of the table",
        "How much of the sampling grid lies outside of the input, over the batches of training: a "
        "line for each run, and those that collapsed dashed. Steps on a logarithmic axis.",
    )


_FATES: dict[bool, tuple[str, dict[str, Any]]] = {
    False: ("a run", {"color": COLOURS[0], "linewidth": 0.8, "alpha": 0.7}),
    True: ("collapsed", {"color": COLOURS[1], "linewidth": 1.2, "linestyle": (0, (4, 2))}),
}


# --- warps


# Of stays' runs and of all others: the file's name to what a reader sees in it.
_STAYS_FIGURES = {
    "warped-series": "One variable of three test stays, the first in which it was measured in 12 "
    "hours or more, before and after the warp",
    "theta": "The learned warps of time over the test set",
    "time-warps": "When the hours are read, by the learned warps of time over the test set",
    "clusters": "Median series of the clusters of learned parameters, and their mortality",
}
_FIGURES = {
    "warped-series": "One variable of three test {}, the first in which it was measured in a "
    "quarter of the steps or more, before and after the warp",
    "rotation-recovered": "The rotation that was applied to test {}, up to 180°, and the one that "
    "the warp takes back; shaded: what it was trained on; right: the median by class",
    "time-warps": "When the steps are read, by the learned warps of time over the test {}",
    "confusion": "Which class was taken for which: test {} by their class and the one predicted",
    "mistakes": "The worst mistakes: the test {} whose wrong class was thought most probable",
    **{
        f"film-strip-{kind}": f"What is read of a few test {{}} as their {kind} grows, and as what"
        for kind in ("angle", "shift", "scale")
    },
    "film-strip-epoch": "What is read of a few test {} after so many epochs, and as what",
}


def _copy_warps(result: StudyResult, folder: Path) -> Iterator[StudyFigure]:
    """What each cell's median healthy run drew, and beside it what one that collapsed drew."""
    for cell in result.study.cells:
        metric = result.rows_of(cell)[0].metric
        for run, which in _shown_runs(cell, metric.key):
            known = _STAYS_FIGURES if cell.examples == "stays" else _FIGURES
            drawn = sorted((run.path / "figures").glob("warps-*.png"))
            others = [run.path / "figures" / f"{name}.png" for name in known]
            for source in [*drawn, *(each for each in others if each.exists())]:
                prefix = f"{file_name(result.study.name)}-{file_name(cell.name)}"
                kind = "-collapsed" if run.collapsed else ""
                path = folder / f"{prefix}{kind}-{file_name(source.name)}"
                shutil.copyfile(source, path)
                value = run.value(metric.key)
                reached = "" if value is None else f", {metric.label} {value:.2%}"
                whose = f"{cell.name}, seed {run.seed}{which}{reached}."
                collapsed = f" Collapsed: {run.collapsed_reason}." if run.collapsed else ""
                if source.stem in known:
                    what = known[source.stem].format(cell.examples)
                    verdict = _verdict_on_clusters(run) if source.stem == "clusters" else ""
                    yield StudyFigure(
                        path, f"{what}, of {cell.name}", f"{whose} {what}.{verdict}{collapsed}"
                    )
                    continue
                distortion = source.stem.removeprefix("warps-").replace("-", " ")
                yield StudyFigure(
                    path,
                    f"Test {cell.examples} under {distortion} before and after the warp of "
                    f"{cell.name}",
                    f"{whose} Test {cell.examples} under {distortion} (above) and what the warp "
                    f"makes of them (below).{collapsed}",
                )


def _shown_runs(cell: Cell, metric: str) -> Iterator[tuple[Run, str]]:
    """The median of the healthy runs and the first that collapsed, of those that kept figures.

    None is picked by looks. Each comes with what is to be said of the choice.
    """
    kept = [run for run in cell.complete_runs() if any((run.path / "figures").glob("*.png"))]
    healthy = [run for run in kept if not run.collapsed]
    num_healthy = len(cell.complete_runs()) - len(cell.collapsed_runs())
    if healthy:
        healthy.sort(key=lambda run: (run.value(metric) or 0.0, run.seed))
        which = ""
        if len(healthy) < num_healthy:
            which = f" ({len(healthy)} of {num_healthy} healthy runs kept figures)"
        elif num_healthy > 1:
            which = f" (the median of {num_healthy} healthy runs)"
        yield healthy[(len(healthy) - 1) // 2], which
    collapsed = next((run for run in kept if run.collapsed), None)
    if collapsed is not None:
        missing = f" (none of {num_healthy} healthy runs kept figures)"
        yield collapsed, missing if num_healthy and not healthy else ""


# --- one figure of all methods


def _draw_methods(result: StudyResult, folder: Path) -> StudyFigure | None:
    """The same inputs, and a row of what each method makes of them (SEED figure 8).

    None unless two methods or more were shown the same.
    """
    rows: list[tuple[str, NDArray[np.uint8]]] = []
    inputs: NDArray[np.uint8] | None = None
    for cell in result.study.cells:
        metric = result.rows_of(cell)[0].metric
        for run, _ in _shown_runs(cell, metric.key):
            strips = _strips(run.path / "figures" / "warps-training-distortion.png")
            if len(strips) < 2:
                continue
            inputs = strips[0] if inputs is None else inputs
            if not np.array_equal(strips[0], inputs):
                continue
            value = run.value(metric.key)
            reached = "" if value is None else f": {value:.2%}"
            collapsed = ", collapsed" if run.collapsed else ""
            rows.append((f"{cell.name}, seed {run.seed}{collapsed}{reached}", strips[1]))
    if inputs is None or len(rows) < 2:
        return None
    path = folder / f"{file_name(result.study.name)}-methods.png"
    draw_rows(path, [("what the networks are shown", inputs), *rows])
    of = result.main_rows()[0].metric.label
    return StudyFigure(
        path,
        "The same test examples, and a row of what the warp of each method makes of them",
        "The same test examples under the training distortion, and what the warp of each row of "
        f"the table makes of them, with the run's {of}: the median of the healthy runs whose "
        "figures were kept, and the first that collapsed.",
    )


def _strips(path: Path) -> list[NDArray[np.uint8]]:
    """The rows of images of a panel, inputs and views in turn, cut from its white ground."""
    if not path.exists():
        return []
    pixels = np.asarray(Image.open(path).convert("L"))
    is_strip = (pixels < 128).mean(axis=1) > 0.3
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_strip, [False]]).astype(int)))
    return [pixels[top:end] for top, end in edges.reshape(-1, 2)]


def _verdict_on_clusters(run: Run) -> str:
    clusters = run.metrics.get("clusters")
    return f" {clusters['verdict']}" if isinstance(clusters, dict) and "verdict" in clusters else ""


# --- how all of them look


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _plot_curves(axes: Axes, cells: Sequence[Cell], curves: Sequence[dict[int, Curve]]) -> bool:
    """Each cell's mean, with its band or its seeds; returns whether there are seeds."""
    bands = []
    for cell, seeds in zip(cells, curves, strict=True):
        points: dict[float, list[float]] = {}
        for curve in seeds.values():
            for x, value in curve.items():
                points.setdefault(x, []).append(value)
        collapsed = bool(cell.collapsed_runs())
        bands.append({x: describe(values, collapsed) for x, values in sorted(points.items())})
    over_each_other = [
        any(other is not band and _lie_over_each_other(band, other) for other in bands)
        for band in bands
    ]
    by_seed = [
        over or bool(cell.collapsed_runs())
        for cell, over in zip(cells, over_each_other, strict=True)
    ]
    for index, cell in enumerate(cells):
        _plot_band(axes, index, bands[index], cell.name, with_band=not by_seed[index])
        collapsed_seeds = {run.seed for run in cell.collapsed_runs()}
        for seed, curve in curves[index].items() if by_seed[index] else ():
            axes.plot(
                list(curve),
                [100 * value for value in curve.values()],
                color=colour(index),
                linewidth=0.7,
                linestyle=":" if seed in collapsed_seeds else "-",
                alpha=0.7,
            )
    return any(by_seed)


def _lie_over_each_other(one: dict[float, Sample], other: dict[float, Sample]) -> bool:
    """Whether the intervals meet at half of the shared points or more."""
    both = [(one[x].interval, other[x].interval) for x in one.keys() & other.keys()]
    known = [(a, b) for a, b in both if a is not None and b is not None]
    meet = sum(a.low <= b.high and b.low <= a.high for a, b in known)
    return bool(known) and 2 * meet >= len(known)


def _plot_band(
    axes: Axes,
    index: int,
    curve: dict[float, Sample],
    name: str,
    with_band: bool = True,
    is_share: bool = True,
) -> None:
    """Means in % with their intervals, which are cut at 0 and 100 of a share to be shown."""
    known = {
        x: (100 * sample.mean, [100 * end for end in sample.interval or (sample.mean,) * 2])
        for x, sample in curve.items()
        if sample.mean is not None
    }
    if not known:
        return
    xs, means = list(known), [mean for mean, _ in known.values()]
    style: dict[str, Any] = {"color": colour(index), "marker": marker(index)}
    axes.plot(xs, means, markersize=4, linewidth=1.6, **style)
    if with_band:
        lows, highs = np.array([ends for _, ends in known.values()]).T
        if is_share:
            lows, highs = np.maximum(lows, 0), np.minimum(highs, 100)
        axes.fill_between(xs, lows, highs, color=colour(index), alpha=0.2, linewidth=0)
    for x, (mean, (low, high)) in known.items():
        (point,) = axes.plot(x, mean, marker="s", markersize=11, markeredgewidth=0, alpha=0)
        said = f"{mean:.2f}" + (f" ({low:.2f} to {high:.2f})" if low < high else "")
        say(point, f"{name}, {x:g}: {said.replace('-', '−')}")
    axes.grid(alpha=0.25)


def _legend(
    figure: Figure, cells: Sequence[Cell], any_published: bool, any_ranges: bool = False
) -> None:
    handles: list[Line2D | Patch] = [
        Line2D(
            [],
            [],
            color=colour(index),
            marker=marker(index),
            markersize=4,
            label=plain(cell.name),
        )
        for index, cell in enumerate(cells)
    ]
    if any_published:
        handles.append(Line2D([], [], color=GREY, linewidth=1, linestyle="--", label="published"))
    if any_ranges:
        handles.append(Patch(color=GREY, alpha=0.2, linewidth=0, label="trained on"))
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(4, len(handles), int(figure.get_figwidth() * 13 / (longest + 5))))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )

"""A study's figures: curves and points over its seeds, beside what was published."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from stnlab.evaluation.robustness import AXIS_LABELS
from stnlab.report import clinical_figures
from stnlab.report.published import Published
from stnlab.report.results import Cell, Run, Tested
from stnlab.report.statistics import Sample, describe
from stnlab.report.style import COLOURS, GREY, colour, marker, plain, save
from stnlab.report.summary import Row, StudyResult


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
        draw(result, published, folder / f"{file_name(result.study.name)}-{kind}.png")
        for kind, draw in (
            ("robustness", _draw_robustness),
            ("seeds", _draw_seeds),
            ("curves", _draw_curves),
            ("reliability", _draw_reliability),
            ("learning", _draw_learning),
        )
    ]
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
    """SEED figures 1b to 4b, over seeds."""
    curves = {
        cell.name: {
            point: describe(list(values.values()), collapsed=bool(cell.collapsed_runs()))
            for point, values in cell.robustness().items()
        }
        for cell in result.study.cells
    }
    factors = list(dict.fromkeys(factor for curve in curves.values() for factor, _ in curve))
    if not factors:
        return None
    figure = _figure(10, 3.8)
    panels = figure.subplots(1, len(factors), sharey=True, squeeze=False)[0]
    any_published = False
    for axes, factor in zip(panels, factors, strict=True):
        for index, cell in enumerate(result.study.cells):
            curve = {
                amount: sample
                for (name, amount), sample in curves[cell.name].items()
                if name == factor
            }
            _plot_band(axes, index, curve)
            reference = published.curve(cell.dataset, cell.model, cell.init, cell.padding, factor)
            if reference is not None:
                any_published = True
                axes.plot(
                    list(reference.accuracy),
                    [100 * accuracy for accuracy in reference.accuracy.values()],
                    linestyle=(0, (4, 3)),
                    linewidth=1,
                    color=colour(index),
                )
        axes.set_xlabel(AXIS_LABELS.get(factor, factor))
    panels[0].set_ylabel("test accuracy, %")
    _legend(figure, result.study.cells, any_published)
    save(figure, path)
    dashed = " Dashed, thin: published." if any_published else ""
    return StudyFigure(
        path,
        f"Accuracy against the amount of {', '.join(factors)}, a curve for each row of the table",
        f"Accuracy on test {_examples(result)} distorted in one way at a time: mean over seeds "
        f"with its 95% interval{_where_there_is_one(result)}.{dashed}",
    )


# --- every seed


def _draw_seeds(result: StudyResult, _: Published, path: Path) -> StudyFigure | None:
    rows = [row for row in result.main_rows() if row.values]
    if not rows:
        return None
    figure = _figure(8, 1.3 + 0.55 * len(rows))
    axes = figure.subplots()
    for place, row in enumerate(rows):
        _plot_seeds(axes, place, row)
    axes.set_yticks(range(len(rows)), [plain(row.cell.name) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{rows[0].metric.label}, %")
    axes.grid(axis="x", alpha=0.25)
    figure.legend(
        handles=list(_seed_handles(rows)), loc="outside lower center", ncols=4, frameon=False
    )
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
        axes.plot(
            100 * value,
            place - 0.1 + 0.2 * (number + 0.5) / len(row.values),
            marker="X" if seed in collapsed else "o",
            markersize=8 if seed in collapsed else 6,
            markerfacecolor=COLOURS[1] if seed in collapsed else "none",
            markeredgecolor="white" if seed in collapsed else COLOURS[0],
            linestyle="none",
            zorder=3,
        )
    low, high = row.sample.interval or (row.sample.mean, row.sample.mean)
    if row.sample.mean is not None and low is not None and high is not None:
        ends = [100 * max(low, 0), 100 * min(high, 1)]
        axes.plot(ends, [place - 0.26] * 2, color="black", linewidth=1.6)
        axes.plot(100 * row.sample.mean, place - 0.26, marker="D", color="black", markersize=5)
    reference = row.published_sample
    if reference.mean is not None:
        sd = reference.sd or 0
        ends = [100 * max(reference.mean - sd, 0), 100 * min(reference.mean + sd, 1)]
        axes.plot(ends, [place + 0.26] * 2, color=GREY, linewidth=1.6)
        axes.plot(100 * reference.mean, place + 0.26, marker="s", color=GREY, markersize=5)


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
        "predictions, with 95% Wilson intervals in which each patient counts once; below, how the "
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
    figure = _figure(8, 4.2)
    axes = figure.subplots()
    for index, cell in enumerate(result.study.cells):
        epochs: dict[float, list[float]] = {}
        for run in cell.complete_runs():
            curve = {row["epoch"]: row[name] for row in run.history if name in row}
            for epoch, value in curve.items():
                epochs.setdefault(epoch, []).append(value)
            if run.collapsed:
                percent = [100 * value for value in curve.values()]
                axes.plot(list(curve), percent, color=colour(index), linewidth=0.8, linestyle=":")
        collapsed = bool(cell.collapsed_runs())
        band = {epoch: describe(values, collapsed) for epoch, values in sorted(epochs.items())}
        _plot_band(axes, index, band)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(f"validation {measure}, %")
    _legend(figure, result.study.cells, any_published=False)
    save(figure, path)
    any_collapsed = any(run.collapsed for run in result.study.complete_runs())
    dotted = " Dotted: each collapsed run, which counts in the mean." if any_collapsed else ""
    return StudyFigure(
        path,
        f"Validation {measure} against the epoch, a curve for each row of the table",
        f"Validation {measure}{distorted}, epoch by epoch: mean over seeds with its 95% interval"
        f"{_where_there_is_one(result)}.{dotted}",
    )


def _has(result: StudyResult, name: str) -> bool:
    return any(name in row for run in result.study.complete_runs() for row in run.history)


# --- warps


# Of patients' runs and of all others: the file's name to what a reader sees in it.
_PATIENTS_FIGURES = {
    "warped-series": "One variable of three test patients, the first in whom it was measured in 12 "
    "hours or more, before and after the warp",
    "theta": "The learned warps of time over the test set",
    "clusters": "Median series of the clusters of learned parameters, and their mortality",
}
_FIGURES = {
    "warped-series": "One variable of three test {}, the first in which it was measured in a "
    "quarter of the steps or more, before and after the warp",
    "confusion": "Which class was taken for which: test {} by their class and the one predicted",
}


def _copy_warps(result: StudyResult, folder: Path) -> Iterator[StudyFigure]:
    """The panels that each cell's run of the lowest complete seed drew; none is picked by looks."""
    for cell in result.study.cells:
        runs = cell.complete_runs()
        if not runs:
            continue
        run = runs[0]
        known = _PATIENTS_FIGURES if cell.examples == "stays" else _FIGURES
        drawn = sorted((run.path / "figures").glob("warps-*.png"))
        others = [run.path / "figures" / f"{name}.png" for name in known]
        for source in [*drawn, *(each for each in others if each.exists())]:
            prefix = f"{file_name(result.study.name)}-{file_name(cell.name)}"
            path = folder / f"{prefix}-{file_name(source.name)}"
            shutil.copyfile(source, path)
            metric = result.rows_of(cell)[0].metric
            value = run.value(metric.key)
            reached = "" if value is None else f", {metric.label} {value:.2%}"
            whose = f"{cell.name}, seed {run.seed}{reached}."
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
                f"Test {cell.examples} under {distortion} before and after the warp of {cell.name}",
                f"{whose} Test {cell.examples} under {distortion} (above) and what the warp makes "
                f"of them (below).{collapsed}",
            )


def _verdict_on_clusters(run: Run) -> str:
    clusters = run.metrics.get("clusters")
    return f" {clusters['verdict']}" if isinstance(clusters, dict) and "verdict" in clusters else ""


# --- how all of them look


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _plot_band(axes: Axes, index: int, curve: dict[float, Sample]) -> None:
    """Means in % with their intervals, which are cut at 0 and 100 to be shown."""
    points = [(x, sample.mean, sample.interval) for x, sample in curve.items()]
    known = [
        (x, mean, interval or (mean, mean)) for x, mean, interval in points if mean is not None
    ]
    if not known:
        return
    xs = [x for x, *_ in known]
    axes.plot(
        xs,
        [100 * mean for _, mean, _ in known],
        color=colour(index),
        marker=marker(index),
        markersize=4,
        linewidth=1.6,
    )
    axes.fill_between(
        xs,
        [100 * max(low, 0) for *_, (low, _) in known],
        [100 * min(high, 1) for *_, (_, high) in known],
        color=colour(index),
        alpha=0.15,
        linewidth=0,
    )
    axes.grid(alpha=0.25)


def _legend(figure: Figure, cells: Sequence[Cell], any_published: bool) -> None:
    handles = [
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
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(4, len(handles)), frameon=False
    )

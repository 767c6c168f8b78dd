"""Figures of the mortality task: what time warps do to series, how well models rank and predict.

All text that a caller passes is plain: dollar signs are not mathematics, and what is too long is
wrapped or cut.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, MultipleLocator
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from stnlab.evaluation.clinical import Floats, Integers, auprc, auroc, reliability
from stnlab.evaluation.clusters import Mortality
from stnlab.report.statistics import describe
from stnlab.report.style import COLOURS, GREY, colour, marker, plain, save

Predictions = tuple[Integers, Floats]

_CHARACTERS_AN_INCH = 11  # of a title
_MAX_TITLE_LINES = 6
_NAME_LENGTH = 40
_SYMBOLS = {"theta22": "θ₂₂", "theta23": "θ₂₃"}
_SHIFTS = ("theta23", "offset", "mean shift")
_IDENTITY = (1.0, 0.0)
_NUM_WARPS_SHOWN = 10
_CURVE_POINTS = np.linspace(0, 1, 401)


# --- warps (SEED figure 9)


def draw_warped_series(path: Path, title: str, **series: Any) -> None:
    """Write :func:`warped_series` to the PNG ``path``."""
    save(warped_series(title, **series), path)


def warped_series(
    title: str,
    steps: Floats,
    step: str,
    before: Floats,
    after: Floats,
    thetas: Mapping[str, Floats],
    names: Sequence[str],
    unit: str,
) -> Figure:
    """One variable of a few patients before and after the warp (SEED figures 9a to 9c).

    Args:
        title: above all.
        steps: (T,) of time, since admission for patients.
        step: what one is, in the plural.
        before: (n, T), a panel for each; n is three in SEED.
        after: (n, T), what the network reads.
        thetas: what was learned, by name: (n,) each.
        names: (n,) of the patients.
        unit: the vertical axis' label: variable and unit.
    """
    figure = _figure(3.4 * max(len(before), 2), 3.6, title)
    panels = figure.subplots(1, len(before), sharey=True, squeeze=False)[0]
    for place, (axes, name, raw, warped) in enumerate(
        zip(panels, names, before, after, strict=True)
    ):
        axes.plot(steps, raw, color=COLOURS[0], marker="o", markersize=2.5, linewidth=1)
        axes.plot(steps, warped, color=COLOURS[1], linestyle="--", linewidth=1.6)
        learned = _theta_text({each: float(of[place]) for each, of in thetas.items()})
        axes.set_title(f"{_name(name)}\n{learned}", fontsize=9)
        _time_axis(axes, steps, step)
    panels[0].set_ylabel(_name(unit), fontsize=9)
    _legend(
        figure,
        [
            Line2D([], [], color=COLOURS[0], marker="o", markersize=3, linewidth=1),
            Line2D([], [], color=COLOURS[1], linestyle="--", linewidth=1.6),
        ],
        [
            "before the warp",
            "after the warp: what the network reads, beyond what can be measured too",
        ],
    )
    return figure


def _theta_text(theta: Mapping[str, float]) -> str:
    """Parameters two to a line, shifts with their sign."""
    words = [
        f"{_SYMBOLS.get(name, name)}{' = ' if name in _SYMBOLS else ' '}"
        + (f"{value:+.2f}" if name in _SHIFTS else f"{value:.2f}")
        for name, value in theta.items()
    ]
    lines = [", ".join(words[start : start + 2]) for start in range(0, len(words), 2)]
    return "\n".join(lines).replace("-", "−")


def draw_time_warps(path: Path, title: str, warps: Mapping[str, Floats], step: str) -> None:
    """Where the steps of a view are read: some examples, and all of them summed up.

    Args:
        path: the PNG to write.
        title: above all.
        warps: by the name of what goes through each, a panel for each: (N, T) moments, in steps.
        step: what a step is, in the plural.
    """
    num_columns = min(len(warps), 3)
    num_rows = -(-len(warps) // num_columns)
    figure = _figure(max(3.4 * num_columns, 5.0), 3.4 * num_rows + 0.8, title)
    panels = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(warps) :]:
        axes.set_visible(False)
    for axes, (name, at) in zip(panels.flat, warps.items(), strict=False):
        steps = np.arange(at.shape[1], dtype=np.float64)
        mean, deviation = at.mean(axis=0), at.std(axis=0)
        axes.plot(steps, steps, color=GREY, linestyle=":", linewidth=1)
        axes.plot(steps, at[:_NUM_WARPS_SHOWN].T, color=COLOURS[0], linewidth=0.7, alpha=0.6)
        low, high = mean - deviation, mean + deviation
        axes.fill_between(steps, low, high, color=COLOURS[1], alpha=0.3, linewidth=0)
        axes.plot(steps, mean, color=COLOURS[1], linewidth=1.8)
        axes.set_title(_name(name), fontsize=9)
        _time_axis(axes, steps, step)
    for axes in panels[:, 0]:
        axes.set_ylabel(f"is read at, {step}", fontsize=9)
    _legend(
        figure,
        [
            Line2D([], [], color=GREY, linestyle=":", linewidth=1),
            Line2D([], [], color=COLOURS[0], linewidth=0.7),
            Line2D([], [], color=COLOURS[1], linewidth=1.8),
            Patch(color=COLOURS[1], alpha=0.3),
        ],
        ["identity", f"the first {_NUM_WARPS_SHOWN}", "mean of all", "± one deviation"],
        num_columns=2 if num_columns == 1 else 4,
    )
    save(figure, path)


def draw_theta_scatter(
    path: Path,
    title: str,
    theta22: Floats,
    theta23: Floats,
    y: Integers,
    labels: Integers | None = None,
) -> None:
    """The time warps of a test set, and what they mean (SEED figure 9d).

    The frame holds the identity and all stays but far outliers: those further from the central 99%
    than its width. A note counts them.

    Args:
        path: the PNG to write.
        title: above all.
        theta22: (N,) factor of time: what is read spans so many times the record.
        theta23: (N,) shift of time, in halves of the record; positive reads later.
        y: (N,), 1 for a death.
        labels: (N,) clusters, which then have the colours.
    """
    figure = _figure(7.2, 5.6, title)
    axes = figure.subplots()
    across, up = _limits(theta22, _IDENTITY[0]), _limits(theta23, _IDENTITY[1])
    axes.set_xlim(across)
    axes.set_ylim(up)
    _mark_regions(axes, across)
    handles: list[Line2D | Patch] = []
    names: list[str] = []
    colours = np.zeros(len(y), np.int64) if labels is None else labels
    for died, shape, size in ((0, "o", 9), (1, "^", 16)):
        outcome = "died" if died else "survived"
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker=shape,
                markersize=5,
                color=COLOURS[died] if labels is None else GREY,
            )
        )
        names.append(f"{outcome} (n = {int(np.sum(y == died))})")
        for each in np.unique(colours):
            chosen = (y == died) & (colours == each)
            axes.scatter(
                theta22[chosen],
                theta23[chosen],
                s=size,
                marker=shape,
                alpha=0.6 if died else 0.35,
                linewidths=0,
                color=colour(died if labels is None else int(each)),
                zorder=3 + died,
            )
    if labels is not None:
        for each, size in zip(*np.unique(labels, return_counts=True), strict=True):
            handles.append(Patch(color=colour(int(each))))
            names.append(f"cluster {each + 1} (n = {size})")
    axes.plot(*_IDENTITY, marker="+", markersize=16, markeredgewidth=2, color="black", zorder=6)
    handles.append(Line2D([], [], linestyle="none", marker="+", markersize=9, mew=2, color="black"))
    names.append("identity")
    if across[0] < 0:
        handles.append(Patch(facecolor=GREY, alpha=0.2))
        names.append("flip, θ₂₂ < 0")
    axes.set_xlabel("θ₂₂, factor of time")
    axes.set_ylabel("θ₂₃, shift of time in halves of the record")
    _legend(figure, handles, names, num_columns=4)
    framed = (across[0] <= theta22) & (theta22 <= across[1])
    framed &= (up[0] <= theta23) & (theta23 <= up[1])
    outside = int(np.sum(~framed))
    if outside:
        axes.text(
            0.99,
            0.01,
            f"{outside} of {len(y)} stays lie outside the frame",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            fontsize=8,
            zorder=7,
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
        )
    save(figure, path)


def _limits(values: Floats, identity: float) -> tuple[float, float]:
    """Ends of an axis; the identity is a sixth of the axis or more from either."""
    low, high = np.percentile(values, [0.5, 99.5])
    near = values[(values >= 2 * low - high) & (values <= 2 * high - low)]
    low, high = min(near.min(), identity), max(near.max(), identity)
    margin = 0.05 * max(high - low, 0.1)
    low, high = low - margin, high + margin
    low = min(low, identity - (high - identity) / 5)
    high = max(high, identity + (identity - low) / 5)
    return float(low), float(high)


def _mark_regions(axes: Axes, across: tuple[float, float]) -> None:
    low, high = across
    width = high - low
    line: dict[str, Any] = {"color": GREY, "linewidth": 0.9, "zorder": 1}
    for each in (-1, 1):
        if low < each < high:
            axes.axvline(each, linestyle="--", **line)
    axes.axhline(0, linestyle=":", **line)
    axes.text(
        0.995,
        0,
        "no shift",
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=8,
        color=GREY,
        zorder=7,
    )
    if low < 0:
        axes.axvspan(low, 0, color=GREY, alpha=0.2, linewidth=0, zorder=0)
    for start, end, name in (
        (low, -1.0, "contraction\n|θ₂₂| > 1"),
        (max(low, -1.0), 1.0, "expansion\n|θ₂₂| < 1"),
        (1.0, high, "contraction\n|θ₂₂| > 1"),
    ):
        fits = (end - start) / width > 0.11
        if fits or name.startswith("expansion"):
            axes.annotate(
                name,
                ((start + end) / 2, 1),
                (0, 3 if fits else 26),  # above its narrow region, clear of its neighbours' names
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8,
            )


# --- ranking


def draw_curves(path: Path, title: str, models: Mapping[str, Sequence[Predictions]]) -> None:
    """ROC and precision-recall: mean over seeds, and a band from the lowest to the highest seed.

    Curves are averaged at equal false positive rate and at equal recall. The areas are each seed's
    own, their mean and standard deviation; the precision-recall curve's is average precision.

    Args:
        path: the SVG or PNG to write.
        title: above all.
        models: name to (y, p) of each seed, (N,) both.
    """
    figure = _figure(7.2, 3.6 + 0.2 * len(models), title)
    shown = slice(None, None, 4)  # as many points as can be seen
    left, right = figure.subplots(1, 2)
    names = []
    for index, (name, seeds) in enumerate(models.items()):
        areas = []
        for axes, metric, area, curve in (
            (left, "AUROC", auroc, _sensitivity),
            (right, "AUPRC", auprc, _precision),
        ):
            curves = np.stack([curve(y, p) for y, p in seeds])
            points, drawn = _CURVE_POINTS[shown], curves[:, shown]
            axes.plot(points, drawn.mean(axis=0), color=colour(index), linewidth=1.6)
            axes.fill_between(
                points,
                drawn.min(axis=0),
                drawn.max(axis=0),
                color=colour(index),
                alpha=0.2,
                linewidth=0,
            )
            sample = describe([area(y, p) for y, p in seeds])
            spread = "" if sample.sd is None else f" ± {sample.sd:.3f}"
            areas.append(f"{metric} {sample.mean:.3f}{spread}")
        names.append(f"{_name(name)}: {', '.join(areas)}")
    prevalence = float(np.mean(np.concatenate([y for seeds in models.values() for y, _ in seeds])))
    chance: dict[str, Any] = {"color": GREY, "linewidth": 1, "linestyle": "--"}
    left.plot([0, 1], [0, 1], **chance)
    right.plot([0, 1], [prevalence] * 2, **chance)
    names.append(f"chance: AUROC 0.500, AUPRC {prevalence:.3f} (the mortality)")
    for axes, across, up in (
        (left, "false positive rate", "true positive rate"),
        (right, "recall (true positive rate)", "precision"),
    ):
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.25)
    handles = [Line2D([], [], color=colour(index), linewidth=1.6) for index in range(len(models))]
    note = None
    if any(len(seeds) > 1 for seeds in models.values()):
        note = "Line and number: mean over seeds ± sd. Band: from the lowest to the highest seed."
    _legend(figure, [*handles, Line2D([], [], **chance)], names, num_columns=1, heading=note)
    save(figure, path)


def _sensitivity(y: Integers, p: Floats) -> NDArray[np.float64]:
    """True positive rate at equally spaced false positive rates."""
    false_rate, true_rate, _ = roc_curve(y, p)
    return np.asarray(np.interp(_CURVE_POINTS, false_rate, true_rate), np.float64)


def _precision(y: Integers, p: Floats) -> NDArray[np.float64]:
    """Precision at equally spaced recalls: where each is first reached, as average precision."""
    precision, recall, _ = precision_recall_curve(y, p)
    # The last is no threshold's, but scikit-learn's end of the curve at recall 0.
    precision, recall = precision[-2::-1], recall[-2::-1]
    recalls = np.maximum(_CURVE_POINTS, 1e-9)  # at 0 itself, the first death's precision
    return np.asarray(precision[np.searchsorted(recall, recalls, side="left")], np.float64)


# --- calibration


def draw_reliability(path: Path, title: str, models: Mapping[str, Sequence[Predictions]]) -> None:
    """Observed against predicted mortality, and how predictions are spread.

    Points: tenths of all seeds' predictions, with 95% Wilson intervals in which each patient counts
    once.

    Args:
        path: the SVG or PNG to write.
        title: above all.
        models: name to (y, p) of each seed, (N,) both.
    """
    figure = _figure(6.6, 7.2, title)
    above, below = figure.subplots(2, 1, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    edges = np.linspace(0, 1, 41)
    handles = []
    largest = 0.0
    for index, seeds in enumerate(models.values()):
        y, p = (np.concatenate(each) for each in zip(*seeds, strict=True))
        bins = reliability(y, p, num_seeds=len(seeds))
        observed = np.array([each.observed for each in bins])
        ends = np.array([[each.low, each.high] for each in bins]).T
        largest = max(largest, bins[-1].mean_prediction, ends.max())
        style: dict[str, Any] = {"color": colour(index), "marker": marker(index)}
        above.errorbar(
            [each.mean_prediction for each in bins],
            observed,
            np.maximum([observed - ends[0], ends[1] - observed], 0),
            markersize=4.5,
            linewidth=1.3,
            elinewidth=1,
            alpha=0.85,
            **style,
        )
        share = np.histogram(p, edges)[0] / len(p)
        below.stairs(100 * share, edges, color=colour(index), linewidth=1.4)
        handles.append(Line2D([], [], markersize=5, **style))
    end = min(1.05 * largest, 1.0)
    above.set_xlim(-0.015 * end, end)
    above.set_ylim(-0.015 * end, end)
    above.set_xlabel("mean predicted probability of death")
    above.set_ylabel("observed mortality (95% interval)")
    above.grid(alpha=0.25)
    below.set_xlim(0, 1)
    below.set_ylabel("share of stays, %")
    below.set_xlabel("predicted probability of death")
    below.grid(alpha=0.25)
    perfect = Line2D([], [], color=GREY, linewidth=1, linestyle="--")
    names = [_name(name) for name in models]
    _legend(figure, [*handles, perfect], [*names, "perfect"], num_columns=3)
    save(figure, path)


# --- clusters


def draw_clusters(
    path: Path,
    title: str,
    hours: Floats,
    quartiles: Mapping[str, Floats],
    mortality: Sequence[Mortality],
) -> None:
    """Each cluster's median series with its interquartile band, and its mortality.

    Args:
        path: the PNG to write.
        title: above all.
        hours: (T,) since admission.
        quartiles: one to four variables, label (with unit) to (3, k, T): lower quartile, median and
            upper quartile, as of :func:`stnlab.evaluation.clusters.quartiles`.
        mortality: (k,) of the clusters, in the same order.
    """
    num_rows = 1 if len(quartiles) <= 2 else 2
    num_columns = -(-len(quartiles) // num_rows)
    width = 3.6 * num_columns + 2.8
    figure = _figure(width, 3.2 * num_rows + 0.9, title)
    grid = figure.add_gridspec(num_rows, num_columns + 1, width_ratios=[3.6] * num_columns + [2.4])
    for place, (name, (low, median, high)) in enumerate(quartiles.items()):
        row, column = divmod(place, num_columns)
        axes = figure.add_subplot(grid[row, column])
        for index in range(len(mortality)):
            axes.fill_between(
                hours, low[index], high[index], color=colour(index), alpha=0.15, linewidth=0
            )
            axes.plot(hours, median[index], color=colour(index), linewidth=1.6)
        axes.set_title(plain(textwrap.fill(name, 42, max_lines=2, placeholder="…")), fontsize=9)
        _time_axis(axes, hours)
        axes.grid(alpha=0.25)
    _plot_mortality(figure.add_subplot(grid[:, num_columns]), mortality)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour(index), linewidth=2) for index in range(len(mortality))
    ]
    names = [f"cluster {index + 1} (n = {each.n})" for index, each in enumerate(mortality)]
    handles.append(Patch(color=GREY, alpha=0.3, linewidth=0))
    names.append("middle half of the stays")
    _legend(figure, handles, names, num_columns=max(int(width // 2.2), 1))
    save(figure, path)


def _plot_mortality(axes: Axes, mortality: Sequence[Mortality]) -> None:
    rates = 100 * np.array([each.rate for each in mortality])
    ends = 100 * np.array([[each.low, each.high] for each in mortality]).T
    places = np.arange(len(mortality))
    axes.bar(
        places,
        rates,
        width=0.6,
        alpha=0.65,
        color=[colour(index) for index in range(len(mortality))],
    )
    axes.errorbar(
        places,
        rates,
        np.maximum([rates - ends[0], ends[1] - rates], 0),
        color="black",
        linestyle="none",
        capsize=3,
        linewidth=1.2,
    )
    overall = 100 * sum(each.deaths for each in mortality) / sum(each.n for each in mortality)
    axes.axhline(overall, color=GREY, linestyle="--", linewidth=1)
    axes.set_xticks(places, [str(index + 1) for index in range(len(mortality))])
    aside = 0.7 + max(2 - len(mortality), 0) / 2  # a lone bar is no wider than one of two
    axes.set_xlim(-aside, len(mortality) - 1 + aside)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("cluster")
    axes.set_title(f"mortality, % (95% interval)\ndashed: all, {overall:.1f}", fontsize=9)


# --- how all of them look


def _figure(width: float, height: float, title: str) -> Figure:
    length = int(width * _CHARACTERS_AN_INCH)
    lines = [
        line
        for part in title.splitlines()
        for line in textwrap.wrap(part, length, max_lines=3, placeholder="…")
    ][:_MAX_TITLE_LINES]
    figure = Figure(figsize=(width, height + 0.17 * len(lines)), layout="constrained")
    figure.suptitle(plain("\n".join(lines)), fontsize=10)
    return figure


def _time_axis(axes: Axes, steps: Floats, step: str = "hours") -> None:
    axes.set_xlim(float(steps[0]) - 0.5, float(steps[-1]) + 0.5)
    if step == "hours":
        axes.set_xlabel("hour")
        axes.xaxis.set_major_locator(MultipleLocator(12))
    else:
        axes.set_xlabel(plain(step))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def _legend(
    figure: Figure,
    handles: Sequence[Line2D | Patch],
    names: Sequence[str],
    num_columns: int = 2,
    heading: str | None = None,
) -> None:
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=min(num_columns, len(handles)),
        title=heading,
        title_fontsize=8,
        frameon=False,
        fontsize=9,
    )


def _name(text: str) -> str:
    line = " ".join(text.split())
    return plain(line if len(line) <= _NAME_LENGTH else f"{line[: _NAME_LENGTH - 1]}…")

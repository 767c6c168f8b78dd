"""How numbers look in a report: accuracies in %, differences in percentage points."""

from stnlab.evaluation.clinical import Interval
from stnlab.report.statistics import Comparison, Paired, Sample

NONE = "–"


def percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.2f}"


def spread(sample: Sample | None, scale: float = 100) -> str:
    """Mean ± standard deviation, in % or times another scale."""
    if sample is None or sample.mean is None:
        return NONE
    sd = "" if sample.sd is None else f" ± {scale * sample.sd:.2f}"
    return f"{scale * sample.mean:.2f}{sd}"


def interval(interval: Interval | None) -> str:
    return NONE if interval is None else f"{signed(interval.low)} to {signed(interval.high)}"


def bounds(interval: Interval | None) -> str:
    if interval is None:
        return NONE
    return f"{percent(interval.low)} to {percent(interval.high)}".replace("-", "−")


def signed(value: float | None) -> str:
    """In percentage points, with its sign."""
    if value is None:
        return NONE
    text = f"{100 * value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def difference(comparison: Comparison | Paired) -> str:
    if comparison.difference is None:
        return NONE
    if comparison.interval is None:
        return signed(comparison.difference)
    return f"{signed(comparison.difference)} ({interval(comparison.interval)})"


def compared(paired: Paired, with_p: bool = False) -> str:
    """A difference with its interval, or that there is none and what a rank test can reach."""
    if paired.best_p is None:
        return difference(paired)
    found = f", p {p(paired.p)}" if with_p else ""
    return f"{difference(paired)} (by ranks{found}; p {p(paired.best_p)} at best)"


def p(value: float | None) -> str:
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def decimals(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}".replace("-", "−")


def runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"

"""How numbers look in a report: accuracies in %, differences in percentage points."""

from stnlab.report.statistics import Comparison, Interval, Paired, Sample

NONE = "–"


def percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.2f}"


def spread(sample: Sample | None) -> str:
    """Mean ± standard deviation, in %."""
    if sample is None or sample.mean is None:
        return NONE
    return percent(sample.mean) + ("" if sample.sd is None else f" ± {percent(sample.sd)}")


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


def p(value: float | None) -> str:
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def decimals(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}".replace("-", "−")


def runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"

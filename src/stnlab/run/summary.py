"""The last lines of a run: what came out, and where it lies."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from stnlab.evaluation import headline
from stnlab.run.run import Outcome


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print a short table of test results and the run's folder."""
    metrics, what = outcome.metrics, headline.examples(outcome.metrics)
    test, data = metrics["test"], metrics["data"]
    has_areas = "auroc" in test
    table = Table(box=None, pad_edge=False)
    table.add_column(f"test {what}")
    if not has_areas:
        table.add_column("n", justify="right")
    table.add_column("last epoch", justify="right")
    table.add_column(f"best epoch ({metrics['best']['epoch']})", justify="right")
    for row in (_areas if has_areas else _accuracies)(test, metrics["best"]["test"]):
        table.add_row(*row)
    console.print(table)
    if "positives" in data:
        console.print(
            f"{test['n']} stays, {test['positives']} deaths; in brackets 95% intervals over "
            f"{'stays' if data.get('synthetic') else 'patients'}. Data: {data['name']}.",
            soft_wrap=True,
        )
    if metrics["collapsed"]:
        console.print(f"collapsed: {metrics['collapsed_reason']}", soft_wrap=True)
    note = " (complete before; not run again)" if outcome.already_complete else ""
    console.print(f"run folder: {outcome.path}{note}", soft_wrap=True, markup=False)


def _accuracies(last: dict[str, Any], best: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    at_best = headline.tests(best)
    for part, scores in headline.tests(last).items():
        accuracies = f"{scores['accuracy']:.2%}", f"{at_best[part]['accuracy']:.2%}"
        yield part or "accuracy", str(scores["n"]), *accuracies


def _areas(last: dict[str, Any], best: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name in ("auroc", "auprc"):
        yield name.upper(), *(_with_interval(scores, name) for scores in (last, best))
    yield "Brier score", *(f"{scores['brier']:.3f}" for scores in (last, best))


def _with_interval(scores: dict[str, Any], name: str) -> str:
    if (bounds := scores.get(f"{name}_ci95")) is None:
        return f"{scores[name]:.3f}"
    return f"{scores[name]:.3f} ({bounds[0]:.3f} to {bounds[1]:.3f})"

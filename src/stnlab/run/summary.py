"""The last lines of a run: what came out, and where it lies."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from stnlab.run.run import Outcome


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print a short table of test results and the run's folder."""
    metrics = outcome.metrics
    is_clinical = "auroc" in metrics["test"]
    table = Table(box=None, pad_edge=False)
    table.add_column("test stays" if is_clinical else "test digits")
    if not is_clinical:
        table.add_column("n", justify="right")
    table.add_column("last epoch", justify="right")
    table.add_column(f"best epoch ({metrics['best']['epoch']})", justify="right")
    for row in (_of_stays if is_clinical else _of_digits)(metrics):
        table.add_row(*row)
    console.print(table)
    if is_clinical:
        test, data = metrics["test"], metrics["data"]
        console.print(
            f"{test['n']} stays, {test['positives']} deaths; in brackets 95% intervals over "
            f"patients. Data: {data['name']}.",
            soft_wrap=True,
        )
    if metrics["collapsed"]:
        console.print(f"collapsed: {metrics['collapsed_reason']}", soft_wrap=True)
    note = " (complete before; not run again)" if outcome.already_complete else ""
    console.print(f"run folder: {outcome.path}{note}", soft_wrap=True, markup=False)


def _of_digits(metrics: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for part, last in metrics["test"].items():
        best = metrics["best"]["test"][part]
        yield part, str(last["n"]), f"{last['accuracy']:.2%}", f"{best['accuracy']:.2%}"


def _of_stays(metrics: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    scores = metrics["test"], metrics["best"]["test"]
    for name in ("auroc", "auprc"):
        bounds = [each[f"{name}_ci95"] for each in scores]
        yield (
            name.upper(),
            *(
                f"{each[name]:.3f} ({low:.3f} to {high:.3f})"
                for each, (low, high) in zip(scores, bounds, strict=True)
            ),
        )
    yield "Brier score", *(f"{each['brier']:.3f}" for each in scores)

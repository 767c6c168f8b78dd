"""The last lines of a run: what came out, and where it lies."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from stnlab.run.run import Outcome


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print a short table of test results and the run's folder."""
    metrics = outcome.metrics
    test, data = metrics["test"], metrics["data"]
    is_clinical, by_part = "auroc" in test, any(isinstance(each, dict) for each in test.values())
    table = Table(box=None, pad_edge=False)
    table.add_column("test stays" if is_clinical else "test set")
    if by_part:
        table.add_column("n", justify="right")
    table.add_column("last epoch", justify="right")
    table.add_column(f"best epoch ({metrics['best']['epoch']})", justify="right")
    rows = _of_stays if is_clinical else _by_part if by_part else _of_all
    for row in rows(metrics):
        table.add_row(*row)
    console.print(table)
    if is_clinical:
        console.print(
            f"{test['n']} stays, {test['positives']} deaths; in brackets 95% intervals over "
            f"patients. Data: {data['name']}.",
            soft_wrap=True,
        )
    if metrics["collapsed"]:
        console.print(f"collapsed: {metrics['collapsed_reason']}", soft_wrap=True)
    note = " (complete before; not run again)" if outcome.already_complete else ""
    console.print(f"run folder: {outcome.path}{note}", soft_wrap=True, markup=False)


def _by_part(metrics: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for part, last in metrics["test"].items():
        best = metrics["best"]["test"][part]
        yield part, str(last["n"]), f"{last['accuracy']:.2%}", f"{best['accuracy']:.2%}"


def _of_all(metrics: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    last, best = metrics["test"], metrics["best"]["test"]
    yield f"accuracy, n = {last['n']}", f"{last['accuracy']:.2%}", f"{best['accuracy']:.2%}"


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

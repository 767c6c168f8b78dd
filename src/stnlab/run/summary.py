"""The last lines of a run: what came out, and where it lies."""

from rich.console import Console
from rich.table import Table

from stnlab.run.run import Outcome


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print a short table of test results and the run's folder."""
    metrics = outcome.metrics
    table = Table(box=None, pad_edge=False)
    table.add_column("test digits")
    table.add_column("n", justify="right")
    table.add_column("last epoch", justify="right")
    table.add_column(f"best epoch ({metrics['best']['epoch']})", justify="right")
    for part, last in metrics["test"].items():
        best = metrics["best"]["test"][part]
        table.add_row(part, str(last["n"]), f"{last['accuracy']:.2%}", f"{best['accuracy']:.2%}")
    console.print(table)
    if metrics["collapsed"]:
        console.print(f"collapsed: {metrics['collapsed_reason']}", soft_wrap=True)
    note = " (complete before; not run again)" if outcome.already_complete else ""
    console.print(f"run folder: {outcome.path}{note}", soft_wrap=True, markup=False)

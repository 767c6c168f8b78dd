"""How often runs collapse: shares with exact intervals, and rows tested against each other."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stnlab.report.results import Cell, Run, metrics_of
from stnlab.report.statistics import Sample, Share, describe, fisher, holm, share

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Rate:
    """How many of a row's complete runs collapsed.

    ``num_by_score`` are those that only their test score gives away, at chance behind a warp that
    looks sound: where training is short, they may not have learned yet. ``since`` counts the
    collapsed by the epoch from which on validation found them so, None for runs of before that was
    kept. ``living`` is the main metric of the others. ``machines`` says what each run computed on.
    """

    cell: Cell
    share: Share
    num_by_score: int
    since: tuple[tuple[int | None, int], ...]
    living: Sample
    machines: tuple["Machine", ...]


@dataclass(frozen=True)
class Machine:
    """The runs of a row with one kernel on one kind of processor, by their seeds."""

    kernel: str
    processor: str
    seeds: tuple[int, ...]
    collapsed: tuple[int, ...]


@dataclass(frozen=True)
class RatesTest:
    """Two rows' rates: Fisher's exact test, two-sided.

    ``p_holm`` is p corrected by Holm for all such tests of the study, ``best_p`` what p would be
    had no run of the first collapsed.
    """

    first: Rate
    second: Rate
    p: float
    best_p: float
    p_holm: float


def rate(cell: Cell) -> Rate:
    """What a row's runs say."""
    runs = cell.complete_runs()
    collapsed = [run for run in runs if run.collapsed]
    epochs = Counter(_since(run) for run in collapsed)
    living = cell.values(metrics_of(cell)[0].key, with_collapsed=False)
    return Rate(
        cell,
        share(len(collapsed), len(runs)),
        sum(_is_by_score(run) for run in collapsed),
        tuple(sorted(epochs.items(), key=lambda each: (each[0] is None, each[0]))),
        describe(list(living.values())),
        tuple(_machines(runs)),
    )


def test_rates(pairs: Iterable[tuple[Cell, Cell]]) -> dict[tuple[str, str], RatesTest]:
    """Every pair of rows that has runs, by their names."""
    tested = []
    for cells in pairs:
        first, second = map(rate, cells)
        if first.share.n and second.share.n:
            tested.append((first, second))
    p_values = [fisher(first.share, second.share) for first, second in tested]
    return {
        (first.cell.name, second.cell.name): RatesTest(
            first, second, p, fisher(first.share._replace(num=0), second.share), p_holm
        )
        for (first, second), p, p_holm in zip(tested, p_values, holm(p_values), strict=True)
    }


def _since(run: Run) -> int | None:
    found = run.value("collapsed_since")
    return None if found is None else int(found)


def _is_by_score(run: Run) -> bool:
    return all(each.startswith(("accuracy", "AUROC")) for each in run.collapsed_reason.split("; "))


def machine_of(run: Run) -> tuple[str, str]:
    """The kernel that a run took, and its kind of processor."""
    environment = run.metrics.get("environment")
    found: Mapping[str, object] = environment if isinstance(environment, dict) else {}
    kernel, processor = (str(found.get(key) or NOT_RECORDED) for key in ("kernel", "processor"))
    return kernel, processor


def _machines(runs: Sequence[Run]) -> Iterable[Machine]:
    for kernel, processor in sorted({machine_of(run) for run in runs}):
        own = [run for run in runs if machine_of(run) == (kernel, processor)]
        seeds, collapsed = (
            tuple(run.seed for run in chosen)
            for chosen in (own, [run for run in own if run.collapsed])
        )
        yield Machine(kernel, processor, seeds, collapsed)

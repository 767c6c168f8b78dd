"""Which settings to run a study with, by validation alone: python -m stnlab.choose FOLDER.

The folder is a sweep's over settings and over folds of the training part (dataset.fold). Runs that
differ in fold and seed alone are one candidate. For each group of runs (--by) the rule takes the
settings and the number of epochs with the highest validation accuracy, the mean over folds and
seeds; of equals the fewest epochs, then the settings that come first in the sweep. What the runs
scored on the test part is not read.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from stnlab.errors import UserError, command, did_you_mean
from stnlab.files import csv_text, write_out

_REPEATED = ("seed", "dataset.fold")  # a candidate's runs differ in these
_BY = "dataset.problem,model.name,warp.name"
_EPOCHS = "trainer.max_epochs"
_SCORE = "val_accuracy"


class Choice(NamedTuple):
    """A group's settings: ``chosen`` maps keys to values, the number of epochs among them.

    ``score`` is the mean validation accuracy over ``num_runs``, in [0, 1], of the best of
    ``num_candidates``, each at each number of epochs.
    """

    group: dict[str, Any]
    chosen: dict[str, Any]
    score: float
    num_runs: int
    num_candidates: int

    @property
    def overrides(self) -> str:
        """For a study's grid."""
        words = {**self.group, **self.chosen}
        return " ".join(
            f"{key.removesuffix('.name')}={_as_written(value)}" for key, value in words.items()
        )


def _as_written(value: Any) -> str:
    """A value as an override has it; a text of more than a word is quoted."""
    if not isinstance(value, str):
        return json.dumps(value, separators=(",", ":"))
    from stnlab.config.text import quoted

    return value if re.fullmatch(r"[\w./-]+", value) else quoted(value)


def choose(folder: Path, by: Sequence[str], epochs: Sequence[int]) -> list[Choice]:
    """What the rule takes for each group of a sweep's runs.

    Args:
        folder: the sweep's.
        by: the keys that tell groups apart.
        epochs: the numbers of epochs among which is chosen.

    Raises:
        UserError: the folder is no sweep's, or runs are missing or too short for that.
    """
    from stnlab.config.identity import identity
    from stnlab.report.results import Run, RunState, read_study

    study = read_study(folder)
    runs = [run for cell in study.cells for run in cell.runs]
    missing = [run for run in runs if run.state is not RunState.complete]
    if missing:
        raise UserError(
            f"{folder}: {len(missing)} of {len(runs)} runs are not complete, the first of them "
            f"{missing[0].path}. Give the sweep's command again, and then this one."
        )
    plain = [identity(run.config) for run in runs]
    known = dict.fromkeys(key for each in plain for key in each)
    for key in by:
        if key not in known:
            raise UserError(f"--by: no run has a key '{key}'.{did_you_mean(key, known)}")
    differing = [
        key
        for key in known
        if key not in (*_REPEATED, *by, _EPOCHS)
        and not key.startswith("parts.")  # which class an option is: no key of a command
        and len({str(each.get(key)) for each in plain}) > 1
    ]
    groups: dict[str, dict[str, list[tuple[dict[str, Any], Run]]]] = {}
    for each, run in zip(plain, runs, strict=True):
        group = {key: each.get(key) for key in by}
        settings = {key: each[key] for key in differing if key in each}
        candidates = groups.setdefault(str(group), {})
        candidates.setdefault(str(settings), []).append((each, run))
    return [_of_group(list(each.values()), by, differing, epochs) for each in groups.values()]


def _of_group(
    candidates: Sequence[Sequence[tuple[dict[str, Any], Any]]],
    by: Sequence[str],
    differing: Sequence[str],
    epochs: Sequence[int],
) -> Choice:
    varied = [
        key
        for key in differing
        if len({str(plain.get(key)) for each in candidates for plain, _ in each}) > 1
    ]
    best: tuple[float, int, int] | None = None
    for place, candidate in enumerate(candidates):
        if len(candidate) != len(candidates[0]):
            raise UserError(
                f"{candidate[0][1].path}: {len(candidate)} runs have these settings, and others "
                f"{len(candidates[0])}. Each needs the same folds and seeds."
            )
        for number in epochs:
            score = fmean(_score(run.history, number, run.path) for _, run in candidate)
            if best is None or (score, -number, -place) > best:
                best = score, -number, -place
    assert best is not None
    score, number, place = best[0], -best[1], -best[2]
    plain, _ = candidates[place][0]
    chosen = {key: plain[key] for key in varied if key in plain} | {_EPOCHS: number}
    group = {key: plain[key] for key in by}
    return Choice(group, chosen, score, len(candidates[place]), len(candidates))


def _score(history: Sequence[Mapping[str, float]], epoch: int, path: Path) -> float:
    if len(history) < epoch or _SCORE not in history[epoch - 1]:
        raise UserError(
            f"{path}: its history has no {_SCORE} of epoch {epoch}. Hold a fold out "
            "(dataset.fold=0), and name epochs up to trainer.max_epochs with --epochs."
        )
    return history[epoch - 1][_SCORE]


def as_csv(choices: Sequence[Choice]) -> str:
    """A row a group."""
    keys = list(dict.fromkeys(key for each in choices for key in (*each.group, *each.chosen)))
    return csv_text(
        [*keys, "validation_accuracy", "runs", "candidates"],
        (
            [
                *map({**each.group, **each.chosen}.get, keys),
                *(round(each.score, 6), each.num_runs, each.num_candidates),
            ]
            for each in choices
        ),
    )


def _numbers(text: str) -> Iterator[int]:
    for word in text.split(","):
        if not word.strip().isdigit() or int(word) < 1:
            raise UserError(f"--epochs: '{word}' is no number of epochs, as in --epochs 50,100.")
        yield int(word)


@command
def main(arguments: Sequence[str]) -> None:
    """The command line."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m stnlab.choose", description=first, epilog=rest)
    parser.add_argument("folder", type=Path, help="a sweep's folder")
    parser.add_argument("--by", default=_BY, metavar="KEYS", help=f"of a group; default: {_BY}")
    parser.add_argument("--epochs", required=True, metavar="NUMBERS", help="as 50,100,200")
    parser.add_argument("--out", type=Path, help="a CSV file")
    given = parser.parse_args(arguments)
    choices = choose(given.folder, given.by.split(","), sorted(_numbers(given.epochs)))
    for each in choices:
        print(f"{each.score:.2%}  {each.overrides}")
    if given.out is not None:
        write_out(given.out, as_csv(choices))


if __name__ == "__main__":
    sys.exit(main())

"""What a sweep's folder holds, read into plain data.

Nothing here is averaged or judged. A damaged file is a run without a result and a sentence that
names the file; only a folder that is no sweep's is refused.
"""

import csv
import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stnlab.config import NOT_APPLICABLE, dataset_label, identity
from stnlab.errors import UserError
from stnlab.evaluation import headline
from stnlab.evaluation.clinical import read_predictions
from stnlab.evaluation.recovery import UNITS
from stnlab.files import read_rows, read_yaml
from stnlab.folder import RunFolder
from stnlab.schema import ClaimKind

SWEEP_FILE = "sweep.json"
_MAX_REASON = 400  # characters of an error that a report shows
UNKNOWN = "unknown"
# Of a value in metrics.json: its dotted name, or its keys, where one has dots of its own.
Place = str | tuple[str, ...]
_NEEDED = {"checksums.sha256", "config.yaml", "metrics.json"}  # for any number to be believed


class RunState(Enum):
    """What became of a run."""

    complete = "complete"
    failed = "failed"  # its last attempt ended in an error
    interrupted = "interrupted"  # it has a checkpoint to go on from
    missing = "missing"  # it never got to its first checkpoint
    unreadable = "unreadable"  # its result is damaged


class Predictions(NamedTuple):
    """A test set's stays, their predictions (N,) in [0, 1] and outcomes (N,), 1 for a death."""

    stays: list[str]
    p: NDArray[np.float64]
    y: NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """One run folder; ``reason`` says why there is no result.

    ``robustness`` maps (factor, amount) to accuracy in [0, 1], ``outside`` an optimizer step to the
    share of the grid outside of the input. ``history`` has a dict an epoch.
    ``damaged`` names the files that do not match the checksums that the run left.
    """

    path: Path
    seed: int
    planned: bool
    state: RunState
    reason: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    history: tuple[dict[str, float], ...] = ()
    robustness: dict[tuple[str, float], float] = field(default_factory=dict)
    outside: dict[float, float] = field(default_factory=dict)
    damaged: frozenset[str] = frozenset()

    @property
    def collapsed(self) -> bool:
        return self.metrics.get("collapsed") is True

    @property
    def collapsed_reason(self) -> str:
        reason = str(self.metrics.get("collapsed_reason") or "no reason recorded")
        # Runs once wrote 440 as 4.4e+02.
        return re.sub(r"\b\d\.\d+e\+\d\d\b", lambda found: f"{float(found[0]):,.0f}", reason)

    def predictions(self, metric: str) -> Predictions | None:
        """What a clinical metric was computed from; None where there is none or it is damaged."""
        name = "predictions-best.csv" if metric.startswith("best.") else "predictions.csv"
        if name in self.damaged:
            return None
        try:
            return Predictions(*read_predictions(self.path / name))
        except UserError:
            return None

    def value(self, metric: Place) -> float | None:
        """A number of ``metrics.json`` by its place; None where there is none."""
        return _number(self.metrics, metric)

    def names(self, place: Place) -> list[str]:
        """The names that stand at such a place of ``metrics.json``."""
        found = _nested(self.metrics, place)
        return list(found) if isinstance(found, dict) else []


class Tested(Enum):
    """What a run's ``test`` in ``metrics.json`` holds."""

    parts = "parts"  # accuracy on clean images and on distorted ones
    whole = "whole"  # accuracy on one test part
    areas = "areas"  # areas under curves on one test part


@dataclass(frozen=True)
class Cell:
    """A row of the results: the runs that differ in their seed alone.

    ``examples`` is what its data's examples are called, ``tested`` what they are tested on.
    ``warp`` is empty without a transformer, and where nothing says it: there was the affine one
    alone. ``main`` is the metric that its study is about; None for that of its kind of test.
    """

    name: str
    dataset: str
    model: str
    init: str
    padding: str
    runs: tuple[Run, ...]
    examples: str
    tested: Tested
    warp: str = ""
    main: str | None = None

    def values(self, metric: Place, with_collapsed: bool = True) -> dict[int, float]:
        """Seed to value, of the runs that have one."""
        found = {
            run.seed: run.value(metric) for run in self.runs if with_collapsed or not run.collapsed
        }
        return {seed: value for seed, value in found.items() if value is not None}

    def robustness(self) -> dict[tuple[str, float], dict[int, float]]:
        """(factor, amount) to seed to accuracy of the complete runs, in the order of the files."""
        curves: dict[tuple[str, float], dict[int, float]] = {}
        for run in self.complete_runs():
            for point, accuracy in run.robustness.items():
                curves.setdefault(point, {})[run.seed] = accuracy
        return curves

    def complete_runs(self) -> list[Run]:
        return [run for run in self.runs if run.state is RunState.complete]

    def collapsed_runs(self) -> list[Run]:
        return [run for run in self.runs if run.collapsed]


@dataclass(frozen=True)
class Claim:
    """A statement of the source, and the pairs of cells (better, worse) that test it.

    ``metric`` is None for the dataset's main one. ``factors`` limits a claim on robustness; empty
    means all. ``margin`` is by how much the first of a pair may be worse and the claim still hold.
    """

    text: str
    kind: str
    pairs: tuple[tuple[str, str], ...]
    metric: str | None = None
    factors: tuple[str, ...] = ()
    margin: float = 0.0


@dataclass(frozen=True)
class Study:
    """A sweep's folder. ``notes`` are sentences about what the reader of its results must know.

    ``fingerprint`` is a sha256 of the plan and of every run's state and result, its seconds apart:
    what a report was made from, whatever the files' dates say. Unless ``is_beside_published``, its
    runs are not those of which anyone has published numbers, whatever their cells are.
    """

    name: str
    folder: Path
    has_plan: bool
    command: str
    question: str
    source: str
    cells: tuple[Cell, ...]
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    fingerprint: str = ""
    is_beside_published: bool = True

    def cell(self, name: str) -> Cell | None:
        return next((cell for cell in self.cells if cell.name == name), None)

    def complete_runs(self) -> list[Run]:
        return [run for cell in self.cells for run in cell.complete_runs()]


@dataclass(frozen=True)
class Metric:
    """A number of ``metrics.json``, and what a table calls it."""

    key: str
    label: str
    scale: float = 100.0  # what a table multiplies it by


# The first one is the one that sources publish and claims are about; {} is for the examples' name.
_METRICS = {
    Tested.parts: (
        Metric("test.clean.accuracy", "accuracy on clean test {}"),
        Metric("test.distorted.accuracy", "accuracy under the training distortion"),
        Metric("best.test.clean.accuracy", "clean accuracy at the best validation epoch"),
    ),
    Tested.whole: (
        Metric("test.accuracy", "accuracy on test {} of the last epoch"),
        Metric("best.test.accuracy", "accuracy on test {} of the best validation epoch"),
    ),
    Tested.areas: (
        Metric("test.auroc", "AUROC of the last epoch"),
        Metric("best.test.auroc", "AUROC of the best validation epoch"),
        Metric("test.auprc", "AUPRC of the last epoch"),
        Metric("best.test.auprc", "AUPRC of the best validation epoch"),
        Metric("test.brier", "Brier score, × 100, of the last epoch"),
        Metric("best.test.brier", "Brier score, × 100, of the best validation epoch"),
    ),
}
# Where runs have them: PhysioNet 2012's own, see evaluation.challenge2012.
CHALLENGE_METRICS = (
    Metric("test.challenge2012.event1", "event 1 of the last epoch"),
    Metric("best.test.challenge2012.event1", "event 1 of the best validation epoch"),
    Metric("test.challenge2012.event2", "event 2 of the last epoch", 1),
    Metric("best.test.challenge2012.event2", "event 2 of the best validation epoch", 1),
)
# What warps took back of a distortion, see evaluation.recovery; spreads are in its UNITS.
RECOVERED_METRICS = tuple(
    Metric(f"recovered.{kind}.{where}.{name}", f"{kind} {where} the trained range: {name}", 1)
    for kind in UNITS
    for where in ("within", "beyond")
    for name in ("r", "slope", "left")
)
# On synthetic series: r of what warps found with what was planted.
PLANTED_METRICS = (
    Metric("planted.r_phase", "r of theta23 with the planted phase", 1),
    Metric("planted.r_tempo", "r of theta22 with the planted tempo", 1),
)
# Whose deviations are no shares of a score.
IN_OTHER_UNITS = (*CHALLENGE_METRICS[2:], *RECOVERED_METRICS)
# What has tables of its own, where runs have it.
APART = (*CHALLENGE_METRICS, *RECOVERED_METRICS, *PLANTED_METRICS)
_TWO_EPOCHS = ("test.auroc", "test.auprc", "test.brier", "test.accuracy")


def metrics_of(cell: Cell) -> tuple[Metric, ...]:
    """The metrics that a cell's table shows, the main one first."""
    found = sorted(_METRICS[cell.tested], key=lambda each: each.key != (cell.main or each.key))
    return tuple(Metric(each.key, each.label.format(cell.examples), each.scale) for each in found)


def label_of(metric: str, cell: Cell) -> str:
    """What a cell's table calls a metric; its key where no table shows it."""
    known = {each.key: each.label for each in (*metrics_of(cell), *APART)}
    return known.get(metric, metric)


def other_epoch(metric: str) -> str | None:
    """A metric of series at the other of the last and the best validation epoch."""
    last = metric.removeprefix("best.")
    if last not in _TWO_EPOCHS:
        return None
    return f"best.{last}" if last == metric else last


# --- reading


def read_study(folder: Path) -> Study:
    """Read a sweep's folder; ``sweep.json`` may be absent, then what is found is all there is.

    Raises:
        UserError: the folder is no sweep's, or its ``sweep.json`` is damaged.
    """
    plan = _read_plan(folder)
    found, notes = _find_runs(folder)
    if plan is None and not found:
        raise UserError(
            f"{folder} holds no sweep: neither {SWEEP_FILE} nor a run in <cell>/seed=<n> was "
            "found. Name the folder of a sweep, such as outputs/RTS."
        )
    has_plan, plan = plan is not None, plan or {}
    cells = _cells(folder, plan.get("cells", []), found, notes, plan.get("metric"))
    return Study(
        name=str(plan.get("study") or "").strip() or folder.resolve().name,
        folder=folder,
        has_plan=has_plan,
        command=str(plan.get("command") or ""),
        question=str(plan.get("question") or ""),
        source=str(plan.get("source") or ""),
        cells=cells,
        claims=tuple(_claim(each) for each in plan.get("claims", [])),
        notes=(*differing_settings(cells), *notes),
        fingerprint=_fingerprint(plan, cells),
        is_beside_published=plan.get("beside_published", True),
    )


def _fingerprint(plan: dict[str, Any], cells: Sequence[Cell]) -> str:
    runs = [
        (
            *(cell.name, cell.dataset, run.seed, run.planned, run.state.value, run.reason),
            {key: value for key, value in run.metrics.items() if key != "seconds"},
            {key: str(value) for key, value in identity(run.config).items()},
            [{k: value for k, value in row.items() if k != "seconds"} for row in run.history],
            [(*point, accuracy) for point, accuracy in run.robustness.items()],
            sorted(run.damaged),
        )
        for cell in cells
        for run in cell.runs
    ]
    text = json.dumps([plan, runs], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read_plan(folder: Path) -> dict[str, Any] | None:
    path = folder / SWEEP_FILE
    if not path.exists():
        return None
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        _check_plan(plan)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path} cannot be read ({reason}). Run the sweep's command again to have it written "
            "anew, or move it away to report whatever runs are found."
        ) from error
    assert isinstance(plan, dict)
    return plan


def _check_plan(plan: Any) -> None:
    """Touch all that is used of ``sweep.json``, so that what is wrong shows here."""
    if not isinstance(plan, dict):
        raise TypeError("it is not a JSON object")
    if type(plan.get("beside_published", True)) is not bool:
        raise TypeError("'beside_published' is neither true nor false")
    for cell in _list(plan.get("cells", []), "cells"):
        for key in ("cell", "dataset", "model", "init", "padding"):
            if not isinstance(cell[key], str):
                raise TypeError(f"cells: '{key}' is no text")
        if cell.get("tested", "parts") not in [each.value for each in Tested]:
            raise ValueError(f"cells: tested is '{cell['tested']}'")
        if not all(type(seed) is int and seed >= 0 for seed in _list(cell["seeds"], "seeds")):
            raise TypeError("cells: 'seeds' are not whole numbers from 0")
    for claim in _list(plan.get("claims", []), "claims"):
        kinds = [kind.name for kind in ClaimKind]
        if claim["kind"] not in kinds:
            raise ValueError(f"claims: kind is '{claim['kind']}'; allowed: {', '.join(kinds)}")
        for pair in _list(claim["pairs"], "pairs"):
            if not (isinstance(pair, list) and [type(name) for name in pair] == [str, str]):
                raise TypeError("claims: 'pairs' are not pairs of cells")
        _list(claim.get("factors", []), "factors")
        if not 0 <= float(claim.get("margin", 0)) < 1:
            raise ValueError(f"claims: margin is {claim['margin']}; allowed: 0 to 1")
        str(claim["text"])


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"'{name}' is no list")
    return value


def _claim(plan: dict[str, Any]) -> Claim:
    return Claim(
        str(plan["text"]).strip(),
        str(plan["kind"]),
        tuple((first, second) for first, second in plan["pairs"]),
        plan.get("metric"),
        tuple(plan.get("factors", [])),
        float(plan.get("margin", 0)),
    )


def _find_runs(folder: Path) -> tuple[dict[tuple[str, int], Path], list[str]]:
    """Run folders by (cell, seed), and what stands among them that is none."""
    found, notes = {}, []
    for path in sorted(folder.glob("*/seed=*")):
        match = re.fullmatch(r"seed=(\d+)", path.name)
        if match and path.is_dir() and path.name == f"seed={int(match[1])}":
            found[path.parent.name, int(match[1])] = path
        else:
            notes.append(f"{_within(path)} is no run folder (seed=<number>) and is left out.")
    return found, notes


def _within(path: Path) -> str:
    """A file or folder of a sweep, by its place inside the sweep's folder."""
    parts = path.parts
    start = next((i for i, part in enumerate(parts) if part.startswith("seed=")), len(parts) - 1)
    return "/".join(parts[max(0, start - 1) :])


def _cells(
    folder: Path,
    plan: list[dict[str, Any]],
    found: dict[tuple[str, int], Path],
    notes: list[str],
    main: str | None,
) -> tuple[Cell, ...]:
    """The planned cells in the plan's order, then those that were found beside them."""
    # A folder's runs belong to one row only if they are on one dataset.
    rows: dict[tuple[str, str], dict[str, str]] = {}
    runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
    planned: dict[tuple[str, int], str] = {}
    for cell in plan:
        rows[cell["cell"], cell["dataset"]] = cell
        planned |= {(cell["cell"], seed): cell["dataset"] for seed in cell["seeds"]}
    for (name, seed), path in found.items():
        config = _read_config(path, notes)
        intended = planned.get((name, seed))
        described = _describe(name, config, intended)
        fits_plan = intended in (described["dataset"], None) and (intended is not None or not plan)
        if fits_plan:
            planned.pop((name, seed), None)
        key = name, described["dataset"]
        rows.setdefault(key, described)
        runs[key].append(_read_run(path, seed, fits_plan, config, notes))
    for (name, seed), dataset in planned.items():
        path = folder / name / f"seed={seed}"
        reason = (
            "another dataset's run is in its folder" if (name, seed) in found else "not started"
        )
        runs[name, dataset].append(Run(path, seed, True, RunState.missing, reason))
    return tuple(
        Cell(
            row["cell"],
            row["dataset"],
            row["model"],
            row["init"],
            row["padding"],
            tuple(sorted(runs[key], key=lambda run: run.seed)),
            *_tested(row, runs[key]),
            row.get("warp", ""),
            main,
        )
        for key, row in rows.items()
    )


# What plans of before they said what is tested were on, where not on digits.
_ON_STAYS = ("mimic", "mimic-synthetic", "physionet2012")


def _tested(row: dict[str, str], runs: Sequence[Run]) -> tuple[str, Tested]:
    """What a row's examples are called and tested on: as its runs tell, or else its plan."""
    tested = (run.metrics for run in runs if isinstance(run.metrics.get("test"), dict))
    metrics = next(tested, None)
    if metrics is not None:
        return headline.examples(metrics), _tested_of(metrics["test"])
    if "tested" in row:
        return row["examples"], Tested(row["tested"])
    return ("stays", Tested.areas) if row["dataset"] in _ON_STAYS else ("digits", Tested.parts)


def _tested_of(test: dict[str, Any]) -> Tested:
    if "auroc" in test:
        return Tested.areas
    return Tested.parts if "clean" in test else Tested.whole


def _describe(name: str, config: dict[str, Any], dataset: str | None) -> dict[str, str]:
    """A row for a run that no plan describes, from its config."""

    def value(group: str, key: str) -> str:
        node = config.get(group)
        return str(node.get(key, UNKNOWN) if isinstance(node, dict) else node or UNKNOWN)

    return {
        "cell": name,
        "dataset": _dataset(config) if config else dataset or UNKNOWN,
        "model": value("model", "name") if config else name,
        "init": value("init", "name"),
        "padding": value("padding", "mode"),
        "warp": warp["name"] if isinstance(warp := config.get("warp"), dict) else "",
    }


def _dataset(config: dict[str, Any]) -> str:
    label = dataset_label(config)
    return UNKNOWN if label == "None" else label


def _read_run(
    path: Path, seed: int, planned: bool, config: dict[str, Any], notes: list[str]
) -> Run:
    damage = RunFolder(path).damage() if (path / "metrics.json").exists() else {}
    state, reason, metrics = _read_state(path, damage)
    if state is RunState.complete:
        notes += [
            f"{_within(path / name)} {wrong}; it is left out." for name, wrong in damage.items()
        ]
    history = () if "history.csv" in damage else _read_history(path / "history.csv", notes)
    if state is RunState.interrupted:
        reason = f"stopped after epoch {len(history)}; the sweep's command goes on from there"
    is_robustness_damaged = "robustness.csv" in damage
    robustness = {} if is_robustness_damaged else _read_robustness(path / "robustness.csv", notes)
    outside = {} if "steps.csv" in damage else _read_outside(path / "steps.csv", notes)
    return Run(
        *(path, seed, planned, state, reason, config, metrics),
        *(history, robustness, outside, frozenset(damage)),
    )


def _read_state(path: Path, damage: dict[str, str]) -> tuple[RunState, str, dict[str, Any]]:
    metrics_file, error_file = path / "metrics.json", path / "error.txt"
    if metrics_file.exists():
        try:
            metrics = json.loads(metrics_file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            return RunState.unreadable, f"metrics.json cannot be read ({error})", {}
        for name in _NEEDED & damage.keys():
            return RunState.unreadable, f"{name} {damage[name]}", {}
        if not isinstance(metrics, dict) or metrics.get("status") != "complete":
            return RunState.unreadable, "metrics.json is not a complete run's result", {}
        known = [metric.key for metrics in _METRICS.values() for metric in metrics]
        if all(_number(metrics, key) is None for key in known):
            return RunState.unreadable, "metrics.json holds no test result", {}
        return RunState.complete, "", metrics
    if error_file.exists():
        try:
            text = error_file.read_text(encoding="utf-8", errors="replace")
            return RunState.failed, _error_reason(text), {}
        except OSError as error:
            return RunState.failed, f"error.txt cannot be read ({error})", {}
    if (path / "checkpoints" / "last.ckpt").exists():
        return RunState.interrupted, "", {}
    return RunState.missing, "begun, but stopped before its first checkpoint", {}


def _error_reason(text: str) -> str:
    """The message of an error, or the last line of its traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "error.txt is empty"
    reason = lines[-1] if any(line.startswith("Traceback") for line in lines) else " ".join(lines)
    return reason if len(reason) <= _MAX_REASON else reason[:_MAX_REASON] + " …"


def _read_config(path: Path, notes: list[str]) -> dict[str, Any]:
    file = path / "config.yaml"
    if not file.exists():
        return {}
    try:
        config = read_yaml(file)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        notes.append(f"{_within(file)} cannot be read; its settings are not compared.")
        return {}
    return {str(key): value for key, value in config.items()}


def _read_history(file: Path, notes: list[str]) -> tuple[dict[str, float], ...]:
    try:
        return tuple(
            {key: float(value) for key, value in row.items() if value} for row in read_rows(file)
        )
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, AttributeError, csv.Error):
        notes.append(f"{_within(file)} cannot be read; its learning curve is left out.")
        return ()


def _read_robustness(file: Path, notes: list[str]) -> dict[tuple[str, float], float]:
    try:
        points = {
            (row["factor"], float(row["amount"])): float(row["accuracy"]) for row in read_rows(file)
        }
        if not all(0 <= accuracy <= 1 for accuracy in points.values()):
            raise ValueError("an accuracy is not in [0, 1]")
        return points
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, csv.Error):
        notes.append(f"{_within(file)} cannot be read; its robustness is left out.")
        return {}


def _read_outside(file: Path, notes: list[str]) -> dict[float, float]:
    try:
        steps = {float(row["step"]): float(row["share_outside"]) for row in read_rows(file)}
        if not all(step > 0 and 0 <= share <= 1 for step, share in steps.items()):
            raise ValueError("a step is not above 0, or a share not in [0, 1]")
        return steps
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, csv.Error):
        notes.append(f"{_within(file)} cannot be read; its share outside is left out.")
        return {}


def _nested(nested: dict[str, Any], place: Place) -> Any:
    value: Any = nested
    for key in place.split(".") if isinstance(place, str) else place:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _number(nested: dict[str, Any], place: Place) -> float | None:
    value = _nested(nested, place)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None  # neither inf nor NaN


# --- settings


def differing_settings(cells: Sequence[Cell]) -> list[str]:
    """A sentence for each config key that differs where rows and seeds should share it.

    Rows differ by dataset (and its distortion), model, warp, init and padding; seeds by their seed.
    """
    values: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        configs = {run.seed: identity(run.config) for run in cell.runs if run.config}
        for key in dict.fromkeys(key for config in configs.values() for key in config):
            if (group := _sharing(key, cell)) is None:
                continue
            found: dict[str, list[str]] = defaultdict(list)
            for seed, config in configs.items():
                if key in config:
                    found[str(config[key])].append(f"{cell.name} seed {seed}")
            for value, runs in found.items():
                is_whole_cell = len(runs) == sum(key in config for config in configs.values())
                values[key, *group][value] += [cell.name] if is_whole_cell else runs
    notes = []
    for (key, *_), found in values.items():
        if len(found) > 1:
            shown = "; ".join(f"{value} in {_counted(runs)}" for value, runs in found.items())
            notes.append(f"{key} is not the same in all runs: {shown}.")
    return notes


def _sharing(key: str, cell: Cell) -> tuple[str, ...] | None:
    """Which runs must have the same value of ``key``: those with the same such tuple."""
    top = key.removeprefix("parts.").split(".", maxsplit=1)[0]  # which part a group has
    if top in ("seed", "padding") or key in ("warp.name", "parts.warp"):
        return None
    if top == "init":
        return (cell.dataset, cell.model, cell.init)
    if top == "model":
        return (cell.model,) if cell.init == NOT_APPLICABLE else (cell.model, cell.dataset)
    return (cell.dataset,) if top in ("dataset", "distortion") else ()


def _counted(runs: list[str]) -> str:
    shown = ", ".join(runs[:3])
    return shown if len(runs) <= 3 else f"{shown} and {len(runs) - 3} more"

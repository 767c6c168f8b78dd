"""From a study or a grid to runs, each with its config and its folder."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from stnlab import config as configs
from stnlab.config import ExperimentConfig, StudyConfig, SweepConfig, compose, compose_study
from stnlab.config.composition import explain
from stnlab.config.identity import flatten, transformer_start
from stnlab.config.trust import require_countable
from stnlab.data.spec import DatasetSpec, Task
from stnlab.errors import UserError
from stnlab.folder import RunFolder

# A sweep's own keys; all others are its runs'.
_SWEEP_KEYS = ("study", "seeds", "dry_run", "name")


class PlannedRun(NamedTuple):
    """One run: its config, and the overrides that ``train.py`` would need for it."""

    config: ExperimentConfig
    overrides: tuple[str, ...]

    @property
    def folder(self) -> RunFolder:
        return RunFolder(configs.folder(self.config))

    @property
    def cell(self) -> str:
        return configs.cell(self.config)

    def __str__(self) -> str:
        return f"{self.folder.path.parent.parent.name}/{self.cell} seed={self.config.seed}"


class StudyPlan(NamedTuple):
    """The runs of one folder ``outputs/<name>``, cell by cell."""

    name: str
    study: StudyConfig | None
    runs: list[PlannedRun]

    @property
    def path(self) -> Path:
        return self.runs[0].folder.path.parent.parent

    def record(self, command: str) -> dict[str, Any]:
        """What the folder should hold, for whoever reads it later, as plain containers."""
        cells: dict[str, dict[str, Any]] = {}
        for run in self.runs:
            init, padding = transformer_start(run.config)
            row = {
                "cell": run.cell,
                "dataset": configs.dataset_label(configs.to_plain(run.config)),
                "model": run.config.model.name,
                "init": init,
                "padding": padding,
                **_tested(run.config.dataset.spec()),
                "seeds": [],
            }
            cells.setdefault(run.cell, row)["seeds"].append(run.config.seed)
        study = self.study
        return {
            "study": self.name,
            "command": command,
            "question": study.question if study else "",
            "source": study.source if study else "",
            "cells": list(cells.values()),
            "claims": [
                {
                    "text": claim.text,
                    "kind": claim.kind.name,
                    "pairs": claim.pairs,
                    **({"metric": claim.metric} if claim.metric else {}),
                }
                for claim in (study.claims if study else [])
            ],
        }


def _tested(spec: DatasetSpec) -> dict[str, str]:
    """What examples are called and tested on, for a report on runs that have not come to a test."""
    tested = "whole" if spec.is_series else "parts"
    return {
        "examples": spec.examples,
        "tested": "areas" if spec.task is Task.binary else tested,
    }


def plan(sweep: SweepConfig, overrides: Sequence[str]) -> list[StudyPlan]:
    """The runs that a command line asks for.

    Args:
        sweep: the sweep's own keys.
        overrides: the command line's, in Hydra's grammar; those of the sweep's keys are left out.

    Raises:
        UserError: for an override that cannot be, or a combination that makes no sense.
    """
    given = [each for each in overrides if _key(each) not in _SWEEP_KEYS]
    for key, instead in (("seed", "seeds=[0,1,2,3,4]"), ("cell", "name=…")):
        if any(_key(each) == key for each in given):
            raise UserError(f"{key} is a single run's key; a sweep takes {instead}.")
    if sweep.study is None:
        return _plans(sweep.name, None, [given], sweep.seeds)
    parts = [compose_study(part) for part in sweep.study.parts] or [sweep.study]
    plans = []
    for part in parts:
        grids = [shlex.split(grid) for grid in part.grids]
        for grid in grids:
            _refuse_contradiction(part, grid, given)
        name = sweep.name or part.name
        if sweep.name and len(parts) > 1:
            name = f"{sweep.name}-{part.name}"
        plans += _plans(name, part, [[*grid, *given] for grid in grids], sweep.seeds)
    return plans


def _refuse_contradiction(study: StudyConfig, grid: list[str], given: list[str]) -> None:
    for key in sorted({_key(each) for each in grid} & {_key(each) for each in given}):
        raise UserError(
            f"study={study.name} sets {key} itself. Leave {key}=… out, or leave study=… out and "
            f"give the grid as in {' '.join(grid)}."
        )


def _plans(
    name: str | None, study: StudyConfig | None, grids: list[list[str]], seeds: list[int]
) -> list[StudyPlan]:
    """Group the cells of some grids by folder; equal ones count once."""
    named: dict[str, dict[tuple[tuple[str, Any], ...], tuple[ExperimentConfig, list[str]]]] = {}
    for grid in grids:
        for overrides in _combinations(grid):
            config = compose(overrides)
            cells = named.setdefault(name or config.dataset.name, {})
            cells.setdefault(_identity_but_seed(config), (config, overrides))
    return [
        StudyPlan(each, study, _runs(each, list(cells.values()), seeds))
        for each, cells in named.items()
    ]


def _runs(
    name: str, cells: list[tuple[ExperimentConfig, list[str]]], seeds: list[int]
) -> list[PlannedRun]:
    labels = _labels([config for config, _ in cells])
    return [
        PlannedRun(
            dataclasses.replace(config, seed=seed, name=name, cell=label),
            (
                *overrides,
                f"name={_quoted(name)}",
                *([f"cell={_quoted(label)}"] if label else []),
                f"seed={seed}",
            ),
        )
        for (config, overrides), label in zip(cells, labels, strict=True)
        for seed in seeds
    ]


def _labels(cells: list[ExperimentConfig]) -> list[str | None]:
    """A name for each cell that would share its own with another; None where model, init and
    padding tell it apart.
    """
    names = [configs.cell(config) for config in cells]
    labels: list[str | None] = []
    for config, name in zip(cells, names, strict=True):
        alike = [other for other, each in zip(cells, names, strict=True) if each == name]
        if len(alike) == 1:
            labels.append(None)
            continue
        flat = [flatten(configs.to_plain(other)) for other in alike]
        own = flatten(configs.to_plain(config))
        differing = [key for key in own if len({str(each.get(key)) for each in flat}) > 1]
        if "dataset.name" in differing:  # which brings much else with it
            differing = ["dataset.name", *_asked_for(differing, config, alike)]
        words = [
            own[key] if key == "dataset.name" else f"{key}={_as_written(own[key])}"
            for key in differing
        ]
        labels.append("-".join([name, *words]).replace("/", "_").replace("\\", "_"))
    return labels


def _asked_for(
    differing: list[str], config: ExperimentConfig, alike: list[ExperimentConfig]
) -> list[str]:
    """Of the keys that differ over datasets, those that differ within this cell's own, too."""
    same = [
        flatten(configs.to_plain(other))
        for other in alike
        if other.dataset.name == config.dataset.name
    ]
    return [key for key in differing if len({str(each.get(key)) for each in same}) > 1]


def _combinations(overrides: list[str]) -> list[list[str]]:
    """Every combination of overrides in Hydra's grammar: choices, ranges, globs."""
    try:
        parsed = OverridesParser.create(config_loader=_groups()).parse_overrides(overrides)
        require_countable(parsed, "the grid")
        (combinations,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    except HydraException as error:
        raise explain(error) from error
    return combinations


def _groups() -> Any:
    """Hydra's config loader, which knows the options that a glob stands for."""
    ready = GlobalHydra.instance()
    return ready.config_loader() if ready.is_initialized() else None


def _identity_but_seed(config: ExperimentConfig) -> tuple[tuple[str, Any], ...]:
    plain = configs.identity(configs.to_plain(config))
    return tuple((key, str(value)) for key, value in plain.items() if key != "seed")


def _key(override: str) -> str:
    return override.split("=", maxsplit=1)[0].lstrip("+~")


def _as_written(value: Any) -> str:
    return "null" if value is None else str(value)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

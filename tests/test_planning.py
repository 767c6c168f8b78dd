"""Planning: quick, linear, and the same as if Hydra composed each cell anew."""

import io
import random
import re

import pytest
from rich.console import Console

from stnlab.config import SweepConfig, compose, to_plain
from stnlab.config.composer import Composer
from stnlab.config.composition import in_hydra
from stnlab.errors import UserError
from stnlab.sweep import progress
from stnlab.sweep.plan import plan

CHOICES = {
    "dataset": ["rot90", "RTS", "two-channel", "same-image", "mimic", "images", "nowhere"],
    "model": ["stn", "cnn", "multi-stn", "ts-stn", "lstm", "snt"],
    "init": ["identity", "left-right", "random", "7", "1.0"],
    "padding": ["zeros", "border", "null", "[zeros]"],
    "warp": ["affine", "rotation", "tps", "time-affine"],
    "optimizer": ["adam", "sgd", "adamw", "{lr: 1}"],
    "schedule": ["none", "cosine", "step"],
}
SETTINGS = {
    "optimizer.lr": ["0.01", "1", "1e-3", "-1", "null", "fast", "${dataset.val_size}", "???"],
    "optimizer.momentum": ["0.9", "true"],
    "optimizer.rl": ["0.1"],
    "model.classifier.channels": ["[4,8]", "[4]", "4", "[4,x]"],
    "model.classifier.dropout": ["0.1", "1", "${optimizer.lr}", "${nowhere}"],
    "model.localization.hidden": ["16"],
    "model.localization.lr": ["0.001", "null", "'0.1'"],
    "dataset.batch_size": ["16", "16.0", "1.5", "'32'", "0", "16k", "${.seed}", "yes"],
    "dataset.val_size": ["0", "100", "-1"],
    "dataset.source": ["synthetic", "flies"],
    "dataset": ["{name: 1.10}"],
    "dataset.name": ["1.10", "a/b", "${model.name}"],
    "dataset.root": ["~/data", "~nobody-here/x", "null"],
    "output_dir": ["~/runs", "''", "7"],
    "trainer.max_epochs": ["1", "0", "one", "${num_threads}"],
    "trainer.limit_train_batches": ["0.5", "3", "2.5"],
    "trainer": ["{max_epochs: 2}", "{epochs: 2}", "${optimizer}", "null"],
    "trainer.deterministic": ["yes", "1", "maybe"],
    "+trainer.max_epochs": ["3"],
    "+trainer.epochs": ["3"],
    "~trainer": [""],
    "name": ["1.0", "'a b'", "CON"],
    "num_threads": ["2", "${seed}"],
    "seed": ["3", "-1", "1.5", "0x10"],
    "hydra.verbose": ["true"],
    "trainer@elsewhere": ["default"],
    "model/stn": ["x"],
    "nowhere": ["1"],
}
# Of which the first value is fine with most choices.
SOUND = ["optimizer.lr", "dataset.batch_size", "output_dir", "trainer.max_epochs", "seed", "name"]


def drawn(rng):
    """The overrides of a run; about half of them make sense."""
    usual = rng.random() < 0.8
    choices = [
        f"{key}={rng.choice(CHOICES[key][:2] if usual else CHOICES[key])}"
        for key in rng.sample(list(CHOICES), 2)
    ]
    sound = [f"{key}={SETTINGS[key][0]}" for key in rng.sample(SOUND, 2)]
    wild = [f"{key}={rng.choice(values)}" for key, values in rng.sample(list(SETTINGS.items()), 1)]
    found = [*choices, *sound, *(wild if rng.random() < 0.5 else [])]
    return rng.sample(found, len(found))


def outcome(composed, overrides):
    try:
        config = composed(overrides)
    except UserError as error:
        return str(error)
    return config, to_plain(config)


def test_a_cell_is_what_hydra_composes():
    rng = random.Random(0)
    with in_hydra():
        composer = Composer()
        found = []
        for _ in range(50):
            overrides = drawn(rng)
            quickly = outcome(composer.compose, overrides)
            assert quickly == outcome(compose, overrides), overrides
            found.append(quickly)
    sound = [each for each in found if not isinstance(each, str)]
    assert 10 < len(sound) < 40  # both kinds are seen


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in SETTINGS.items() for value in values]
)
def test_each_setting_alone(key, value, one_composer):
    overrides = ["dataset=mimic", f"{key}={value}" if value else key]
    assert outcome(one_composer.compose, overrides) == outcome(compose, overrides)


@pytest.fixture(scope="module")
def one_composer():
    with in_hydra():
        yield Composer()


@pytest.fixture
def compositions(monkeypatch):
    """What Hydra is asked to compose."""
    from stnlab.config import composer, composition

    asked = []

    def counted(overrides, *more):
        asked.append(list(overrides))
        return original(overrides, *more)

    original = composition.composed_by_hydra
    monkeypatch.setattr(composer, "composed_by_hydra", counted)
    monkeypatch.setattr(composition, "composed_by_hydra", counted)
    return asked


def test_hydra_composes_once_for_each_choice_of_configs(compositions):
    grid = ["model=cnn,stn", "optimizer.lr=0.1,0.01,0.001", "dataset.batch_size=range(1,6)"]
    (study,) = plan(SweepConfig(), grid)
    assert len(study.runs) == 2 * 3 * 5 * 5
    assert sorted(compositions) == [["model=cnn"], ["model=stn"]]


def test_of_a_bad_cell_the_run_is_named_and_no_other_composed(compositions):
    with pytest.raises(UserError, match=r"optimizer.lr.*about the run model=cnn optimizer.lr=-1"):
        plan(SweepConfig(), ["model=cnn,stn", "optimizer.lr=0.1,-1"])
    assert len(compositions) == 2


def test_runs_of_a_plan_share_what_is_the_same():
    (study,) = plan(SweepConfig(seeds=[0, 1]), ["model=cnn", "optimizer.lr=0.1,0.2"])
    one, other, *_ = study.runs
    assert one.config.dataset is other.config.dataset


@pytest.mark.parametrize("is_terminal", [True, False])
def test_who_waits_is_told_on_a_terminal(monkeypatch, is_terminal):
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", 0.0)
    out = io.StringIO()
    console = Console(file=out, force_terminal=is_terminal, width=80)
    with progress.told(console) as tell:
        plan(SweepConfig(), ["model=cnn,stn", "optimizer.lr=0.1,0.2"], tell=tell)
        console.print("a line")
    said = re.findall(r"planning … (\d) of 4 cells", out.getvalue())
    assert bool(said) == is_terminal
    assert "a line" in out.getvalue()

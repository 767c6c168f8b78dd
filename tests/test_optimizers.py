"""Optimizers and schedules: torch's names, torch's steps, torch's rates."""

import inspect
from dataclasses import fields

import pytest
import torch
from rich.console import Console
from test_run import numbers, read_csv

from stnlab import parts
from stnlab.config import compose
from stnlab.errors import UserError
from stnlab.run import train
from stnlab.run.recorder import Recorder, load_checkpoint

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
RATES = torch.optim.lr_scheduler
SCHEDULES = {
    "step": RATES.StepLR,
    "cosine": RATES.CosineAnnealingLR,
    "onecycle": RATES.OneCycleLR,
}


def test_all_of_ours_are_compared_with_torchs():
    assert parts.offered("optimizer").keys() == OPTIMIZERS.keys()
    assert parts.offered("schedule").keys() == {"none", *SCHEDULES}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizers_keys_and_steps_are_torchs(name):
    part, kind = compose([f"optimizer={name}"]).optimizer, OPTIMIZERS[name]
    keys = {field.name for field in fields(part)}
    assert keys <= set(inspect.signature(kind).parameters)
    built = part.build([{"params": [torch.zeros(3, requires_grad=True)]}])
    assert isinstance(built, kind)
    for key in keys:
        found, given = built.param_groups[0][key], getattr(part, key)
        assert tuple(found) == tuple(given) if key == "betas" else found == given


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedules_keys_are_torchs(name):
    (keys, torchs) = (
        parameters
        for parameters in (
            {field.name for field in fields(parts.offered("schedule")[name])} - {"name"},
            inspect.signature(SCHEDULES[name]).parameters,
        )
    )
    assert keys <= set(torchs)


@pytest.mark.parametrize("num_steps", [1, 2, 7, 40])
@pytest.mark.parametrize(
    ("overrides", "torchs"),
    [
        (["step", "step_size=3", "gamma=0.3"], lambda o, _: RATES.StepLR(o, 3, 0.3)),
        (["cosine"], RATES.CosineAnnealingLR),
        (["cosine", "eta_min=0.0001"], lambda o, n: RATES.CosineAnnealingLR(o, n, 1e-4)),
        (
            ["onecycle"],
            lambda o, n: RATES.OneCycleLR(o, [0.1, 0.001], n, cycle_momentum=False),
        ),
        (
            ["onecycle", "pct_start=0.6", "div_factor=5.0", "final_div_factor=7.0"],
            lambda o, n: RATES.OneCycleLR(
                *(o, [0.1, 0.001], n),
                pct_start=0.6,
                div_factor=5,
                final_div_factor=7,
                cycle_momentum=False,
            ),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_steps_rates_are_torchs(overrides, torchs, num_steps):
    name, *keys = overrides
    schedule = compose([f"schedule={name}", *(f"schedule.{key}" for key in keys)]).schedule
    own = [0.1, 0.001]  # the second as a localization network's
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": lr} for lr in own])
    theirs = torchs(optimizer, num_steps)
    for step in range(num_steps):
        rates = [group["lr"] for group in optimizer.param_groups]
        ours = [schedule.rate(lr, step, num_steps) for lr in own]
        assert ours == pytest.approx(rates, rel=1e-6, abs=1e-12)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_group_may_have_nothing_to_train(name):
    """As the second one of model=alignment with a rate of the warp's own, or a frozen one."""
    weight, frozen = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    groups = [{"params": []}, {"params": [frozen]}, {"params": [weight]}]
    optimizer = compose([f"optimizer={name}"]).optimizer.build(
        [group | {"lr": 0.1} for group in groups]
    )
    for _ in range(3):
        before = weight.detach().clone()
        weight.grad = torch.ones(3)
        optimizer.step()
        assert (weight < before).all()
    assert torch.equal(frozen, torch.ones(3))


def test_no_schedule_leaves_the_rate_as_it_is():
    assert compose().schedule.rate(0.001, 123, 456) == 0.001


class Killed(BaseException):
    """What no handler expects, as a process that is gone."""


def killed_after(epoch, monkeypatch, config):
    """Run until the epoch's checkpoint is written, and no further."""
    recorded = Recorder.on_train_epoch_end

    def record(self, trainer, module):
        recorded(self, trainer, module)
        if len(self.history) == epoch:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_train_epoch_end", record)
        with pytest.raises(Killed):
            train(config, Console(quiet=True))


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=sgd"],
        ["optimizer=adamw", "schedule=step", "schedule.step_size=3"],
        ["optimizer=sgd", "schedule=cosine"],
        ["schedule=onecycle", "model=stn", "model.localization.lr=0.0003"],
    ],
    ids=" ".join,
)
def test_a_killed_run_ends_bit_for_bit_the_same(short, monkeypatch, overrides):
    short_run = ["model=cnn", "trainer.max_epochs=3", "trainer.limit_train_batches=4", *overrides]
    quiet = Console(quiet=True)
    whole = train(short(*short_run, "name=whole"), quiet)
    config = short(*short_run, "name=killed")
    killed_after(2, monkeypatch, config)
    resumed = train(config, quiet)
    assert numbers(resumed.metrics) == numbers(whole.metrics)
    one, other = (
        load_checkpoint(each.path / "checkpoints" / "last.ckpt") for each in (whole, resumed)
    )
    assert all(
        torch.equal(one["state_dict"][key], other["state_dict"][key]) for key in one["state_dict"]
    )
    assert str(one["optimizer_states"]) == str(other["optimizer_states"])
    histories = [read_csv(each.path / "history.csv") for each in (whole, resumed)]
    for row in (*histories[0], *histories[1]):
        del row["seconds"]
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer=sgd", "optimizer.momentum=1"], r"optimizer\.momentum is 1\.0; allowed: in"),
        (["optimizer=sgd", "optimizer.momentum=0"], r"optimizer\.nesterov is true; allowed: only"),
        (["optimizer=adamw", "optimizer.weight_decay=-1"], r"weight_decay is -1\.0; allowed: 0 or"),
        (["schedule=step", "schedule.step_size=0"], r"schedule\.step_size is 0; allowed: 1 or"),
        (["schedule=step", "schedule.gamma=0"], r"schedule\.gamma is 0\.0; allowed: above 0"),
        (["schedule=cosine", "schedule.eta_min=1"], r"eta_min is 1\.0; allowed: 0 to 0\.001"),
        (
            ["schedule=cosine", "schedule.eta_min=0.0005", "model.localization.lr=0.0001"],
            r"eta_min is 0\.0005; allowed: 0 to 0\.0001, the lowest rate",
        ),
        (["schedule=onecycle", "schedule.pct_start=1"], r"pct_start is 1\.0; allowed: between"),
        (["schedule=cosine", "schedule.T_max=9"], r"unknown key 'schedule\.T_max'.*eta_min"),
        (["optimizer=sgd", "optimizer.betas=[0.9,0.99]"], r"unknown key 'optimizer\.betas'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_gets_one_message(overrides, message):
    with pytest.raises(UserError, match=message):
        compose(overrides)

"""What may keep a warp from running off: each does what it says, and is off unless asked for."""

import json

import pytest
import torch
import torch.nn.functional as F
from rich.console import Console
from short_run import SHORT
from test_run import numbers, read_csv

from stnlab.config import compose, to_plain, with_defaults
from stnlab.errors import UserError
from stnlab.layers.convolution import in_a_row
from stnlab.layers.network import build_network
from stnlab.run import train
from stnlab.task import Classification

QUIET = Console(quiet=True)
PAIR = ["dataset=two-channel", "model=multi-stn"]
REMEDIES = [
    "model.localization.batch_norm=true",
    "model.localization.warmup_steps=7",
    "model.localization.identity_penalty=0.1",
    "model.localization.bound=1.0",
    "trainer.gradient_clip_val=1.0",
]
BOUNDED = [
    ["model=stn", "model.localization.bound=0.5"],
    ["model=stn-fcn", "warp=projective", "model.localization.bound=0.5"],
    [*PAIR, "model.localization.bound=1.0"],
    ["dataset=mimic", "model=ts-stn", "model.localization.bound=0.5"],
    ["dataset=same-image", "model=multi-stn", "init=left-right", "model.localization.bound=0.6"],
]


def built(*overrides):
    return build_network(compose(overrides))


def inputs(config, num=4):
    spec = config.dataset.spec()
    return torch.randn(num, spec.channels, *spec.size, generator=torch.Generator().manual_seed(0))


def task_of(config):
    model = config.model
    return Classification(
        build_network(config),
        config.dataset.spec(),
        config.optimizer,
        config.schedule,
        config.seed,
        learning_rates=model.learning_rates(),
        warmup_steps=model.warmup_steps(),
        penalty=model.penalty(config, config.dataset.spec()),
    )


def test_a_run_of_before_they_were_there_is_the_same_run():
    now = to_plain(compose(PAIR))
    before = json.loads(json.dumps(now))
    before["model"]["localization"] = {
        key: before["model"]["localization"][key]
        for key in ("channels", "kernel_sizes", "hidden", "lr")
    }
    assert with_defaults(before, now) == now


# --- batch norm


@pytest.mark.parametrize("dataset", ["same-image", "mimic"])
def test_after_training_batch_norm_is_part_of_the_convolution(dataset):
    model = "ts-stn" if dataset == "mimic" else "multi-stn"
    overrides = [f"dataset={dataset}", f"model={model}", "model.localization.batch_norm=true"]
    localization = build_network(compose(overrides)).transformer.localization
    images = inputs(compose(overrides), 8)
    localization(images)  # which moves the running moments
    localization.eval()
    is_series = images.dim() == 3
    convolution = F.conv1d if is_series else F.conv2d
    pool = F.max_pool1d if is_series else F.max_pool2d
    expected = images
    for block, norm in zip(localization.blocks, localization.norms, strict=True):
        expected = F.relu(pool(norm(convolution(expected, block.weight, block.bias)), 2))
    found = in_a_row(images, *localization.blocks, norms=localization.norms)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert localization.norms[0].running_mean.abs().max() > 0


def test_in_training_batch_norm_looks_at_the_batch():
    localization = built(*PAIR, "model.localization.batch_norm=true").transformer.localization
    images = torch.randn(6, 1, 28, 28)
    first = in_a_row(images, *localization.blocks, norms=localization.norms)
    again = in_a_row(10 * images + 3, *localization.blocks, norms=localization.norms)
    torch.testing.assert_close(first, again, atol=1e-3, rtol=1e-3)


# --- a bound


@pytest.mark.parametrize("overrides", BOUNDED, ids=" ".join)
def test_a_bounded_theta_starts_where_an_unbounded_one_does(overrides):
    config = compose(overrides)
    free = compose([each for each in overrides if "bound" not in each])
    thetas = [build_network(each).predict(inputs(each))[1] for each in (config, free)]
    torch.testing.assert_close(*thetas, atol=1e-6, rtol=0)
    if config.init.name == "identity":
        assert torch.equal(*thetas)


@pytest.mark.parametrize("overrides", BOUNDED, ids=" ".join)
def test_no_theta_leaves_its_bound(overrides):
    config = compose(overrides)
    network, model = build_network(config), config.model
    with torch.no_grad():
        network.transformer.localization.theta.weight.normal_(std=100.0)
    theta = network.predict(inputs(config))[1]
    away = (theta - theta.new_tensor(model.identity(config, config.dataset.spec()))).abs()
    assert away.max() <= model.localization.bound * (1 + 1e-6)
    assert away.max() > 0.9 * model.localization.bound


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=stn", "init=random", "model.localization.bound=0.01"],
        [
            "dataset=same-image",
            "model=multi-stn",
            "init=left-right",
            "model.localization.bound=0.5",
        ],
    ],
    ids=" ".join,
)
def test_a_start_out_of_bounds_is_refused(overrides):
    with pytest.raises(
        UserError, match=r"model\.localization\.bound is .*; allowed: above .*init="
    ):
        compose(overrides)


# --- a penalty


def test_the_penalty_is_the_mean_square_that_theta_is_off_the_identity():
    config = compose([*PAIR, "model.localization.identity_penalty=0.5"])
    penalty = config.model.penalty(config, config.dataset.spec())
    identity = torch.tensor(config.warp.identity).expand(3, 2, 6)
    assert penalty(identity) == 0
    assert penalty(identity + 2).item() == pytest.approx(0.5 * 4)
    off = identity.clone()
    off[0, 0, 2] += 3
    assert penalty(off).item() == pytest.approx(0.5 * 9 / 36)
    assert compose(PAIR).model.penalty(config, config.dataset.spec()) is None


def test_the_penalty_of_a_warp_of_time_knows_slope_and_offset():
    config = compose(["dataset=mimic", "model=ts-stn", "model.localization.identity_penalty=1"])
    assert (
        config.model.penalty(config, config.dataset.spec())(torch.tensor([[[1.0, 0.0, 1.0, 0.0]]]))
        == 0
    )


# --- a warm-up


def test_a_warm_up_is_of_the_localization_network_alone_and_on_top_of_the_schedule():
    overrides = ["model.localization.warmup_steps=4", "model.localization.lr=0.01"]
    config = compose([*PAIR, *overrides, "schedule=step", "schedule.step_size=2"])
    task = task_of(config)
    optimizer = task.configure_optimizers()
    rates = [rates_at(task, optimizer, step) for step in range(6)]
    network, localization = zip(*rates, strict=True)
    assert network == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4])
    assert localization == pytest.approx([0, 0.25 * 1e-2, 0.5 * 5e-3, 0.75 * 5e-3, 2.5e-3, 2.5e-3])


def test_a_warm_up_without_a_rate_of_its_own_rises_to_the_optimizers():
    task = task_of(compose([*PAIR, "model.localization.warmup_steps=2"]))
    optimizer = task.configure_optimizers()
    rates = [rates_at(task, optimizer, step)[1] for step in range(4)]
    assert rates == pytest.approx([0, 5e-4, 1e-3, 1e-3])


def rates_at(task, optimizer, step):
    task._steps_an_epoch = 6
    task._trainer = type("Trainer", (), {"max_epochs": 1, "current_epoch": 0})()
    task._set_rates(optimizer, step)
    return [group["lr"] for group in optimizer.param_groups]


# --- clipping


@pytest.mark.parametrize("algorithm", ["norm", "value", "null"])
def test_gradients_are_clipped_as_lightning_does(tmp_path, algorithm, monkeypatch):
    """With the weights' steps as long as their gradients, they show what was left of these."""
    moved = []

    def step(optimizer, closure=None):  # noqa: ARG001
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        moved.append(torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]))

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    overrides = ["optimizer=sgd", "trainer.gradient_clip_val=0.001", "name=clipped"]
    run = compose(
        [
            *(*SHORT, *PAIR, *overrides, f"output_dir={tmp_path}", "trainer.max_epochs=1"),
            f"trainer.gradient_clip_algorithm={algorithm}",
            "trainer.limit_train_batches=2",
        ]
    )
    train(run, QUIET)
    for gradient in moved:
        if algorithm == "value":
            assert gradient.abs().max().item() == pytest.approx(1e-3)
        else:
            assert gradient.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_clipping_with_mixed_precision_is_refused():
    words = r"trainer\.gradient_clip_val is 1\.0; allowed: null with trainer\.precision=bf16-mixed"
    with pytest.raises(UserError, match=words):
        compose(["trainer.gradient_clip_val=1.0", "trainer.precision=bf16-mixed"])


# --- refusals, and a run with all of them


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("warmup_steps=-1", r"warmup_steps is -1; allowed: 0 \(none\) or a number"),
        ("identity_penalty=-0.1", r"identity_penalty is -0\.1; allowed: 0 or more"),
        ("bound=0", r"bound is 0\.0; allowed: null \(none\) or above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(override, words):
    with pytest.raises(UserError, match=f"model.localization.{words}"):
        compose([f"model.localization.{override}"])


def test_a_run_with_all_of_them_that_goes_on_has_the_numbers_of_one_that_did_not_stop(tmp_path):
    overrides = [*SHORT, *PAIR, *REMEDIES, "trainer.limit_train_batches=5"]
    one, whole = ([*overrides, f"output_dir={tmp_path / name}"] for name in ("stopped", "whole"))
    train(compose([*one, "trainer.max_epochs=1"]), QUIET)
    gone_on = train(compose([*one, "trainer.max_epochs=2"]), QUIET)
    at_once = train(compose([*whole, "trainer.max_epochs=2"]), QUIET)
    assert numbers(gone_on.metrics) == numbers(at_once.metrics)
    history = read_csv(at_once.path / "history.csv")
    assert all(float(row["train_penalty"]) > 0 for row in history)
    assert at_once.metrics["collapsed_since"] == gone_on.metrics["collapsed_since"]

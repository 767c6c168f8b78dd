"""The networks: every size pinned, every combination stepped once."""

import pytest
import torch

from stnlab.config import CONF_DIR, compose
from stnlab.errors import UserError
from stnlab.layers.network import build_network
from stnlab.task import Classification

DATASETS = sorted(path.stem for path in (CONF_DIR / "dataset").glob("*.yaml"))
MODELS = sorted(path.stem for path in (CONF_DIR / "model").glob("*.yaml"))

# From SPEC's sizes by hand: a convolution has (in * k * k + 1) * out, a layer (in + 1) * out.
# None: refused.
NUM_PARAMETERS = {
    "rot90": {"cnn": 27_095, "fcn": 27_562, "stn": 27_360, "multi-stn": None},
    "RTS": {"cnn": 27_095, "fcn": 27_562, "stn": 27_360, "multi-stn": None},
    "two-channel": {"cnn": 27_804, "fcn": 52_947, "stn": 28_461, "multi-stn": 43_819},
    "same-image": {"cnn": 62_554, "fcn": 52_947, "stn": 62_539, "multi-stn": 50_737},
    "mimic": {
        **{"cnn": 16_487, "fcn": 118_946, "ts-stn": 21_380, "lstm": 8_226, "logistic": 458},
        **{"time-in-range": 6_598, "alignment": 7_332},
    },
    "physionet2012": {
        **{"cnn": 16_787, "fcn": 128_162, "ts-stn": 22_016, "lstm": 8_610, "logistic": 494},
        **{"time-in-range": 6_822, "alignment": 7_668},
    },
    "images": {"cnn": 38_488, "fcn": 100_547, "stn": 39_527, "multi-stn": None},
    "ucr": {
        **{"cnn": 12_838, "fcn": 5_443, "ts-stn": 13_907, "lstm": 3_507, "logistic": 21},
        **{"time-in-range": 834, "alignment": 3_508},
    },
    "series": {
        **{"cnn": 12_838, "fcn": 5_443, "ts-stn": 13_907, "lstm": 3_507, "logistic": 21},
        **{"time-in-range": 834, "alignment": 3_508},
    },
}
PAIRS = [(dataset, model) for dataset in DATASETS for model in MODELS]


def network(*overrides):
    return build_network(compose(overrides))


def inputs(config, num=4):
    spec = config.dataset.spec()
    rng = torch.Generator().manual_seed(0)
    return torch.randn(num, spec.channels, *spec.size, generator=rng)


def test_the_table_covers_every_dataset():
    assert set(NUM_PARAMETERS) == set(DATASETS)


@pytest.mark.parametrize(("dataset", "model"), PAIRS)
def test_sizes_and_one_step(dataset, model, own_roots):
    own = own_roots.get(f"dataset={dataset}", [])
    overrides = [f"dataset={dataset}", f"model={model}", *own]
    expected = NUM_PARAMETERS[dataset].get(model)
    if expected is None:
        with pytest.raises(
            UserError, match=f"model={model} does not go with dataset=({dataset}|Waves): "
        ):
            compose(overrides)
        return
    config = compose(overrides)
    built = build_network(config)
    assert sum(p.numel() for p in built.parameters()) == expected
    if model == "alignment":  # which knows the means of what training has shown
        built.classifier.fit([(inputs(config)[:, None], torch.tensor([0, 1, 1, 0]))])
    logits = built(inputs(config))
    assert logits.shape == (4, config.dataset.spec().num_classes)
    optimizer = torch.optim.Adam(built.parameters())
    before = [p.clone() for p in built.parameters()]
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1, 0])).backward()
    optimizer.step()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in built.parameters())
    assert any(not torch.equal(p, old) for p, old in zip(built.parameters(), before, strict=True))


def test_cnn_has_the_capacity_of_the_transformer_network():
    cnn, stn = NUM_PARAMETERS["rot90"]["cnn"], NUM_PARAMETERS["rot90"]["stn"]
    assert abs(cnn - stn) / stn < 0.1


@pytest.mark.parametrize(
    ("overrides", "views", "thetas"),
    [
        (["dataset=rot90", "model=stn"], (4, 1, 1, 28, 28), (4, 1, 6)),
        (["dataset=two-channel", "model=stn"], (4, 1, 2, 28, 28), (4, 1, 6)),
        (["dataset=same-image", "model=stn"], (4, 1, 1, 28, 56), (4, 1, 6)),
        (["dataset=two-channel", "model=multi-stn"], (4, 2, 1, 28, 28), (4, 2, 6)),
        (["dataset=same-image", "model=multi-stn"], (4, 2, 1, 28, 28), (4, 2, 6)),
        (["dataset=mimic", "model=ts-stn"], (4, 1, 76, 48), (4, 1, 4)),
    ],
)
def test_shapes_of_views_and_thetas(overrides, views, thetas):
    config = compose(overrides)
    warped = build_network(config).transformer(inputs(config))
    assert warped.views.shape == views
    assert warped.theta.shape == thetas


@pytest.mark.parametrize(
    ("dataset", "model"), [("rot90", "stn"), ("two-channel", "multi-stn"), ("mimic", "ts-stn")]
)
def test_identity_start_leaves_the_input(dataset, model):
    config = compose([f"dataset={dataset}", f"model={model}"])
    images = inputs(config)
    views = build_network(config).transformer(images).views
    torch.testing.assert_close(views.flatten(1, 2), images)


def test_left_right_start_looks_at_the_halves():
    """With align_corners false the halves are read pixel by pixel."""
    config = compose(
        ["dataset=same-image", "model=multi-stn", "init=left-right", "model.align_corners=false"]
    )
    images = inputs(config)
    views = build_network(config).transformer(images).views
    torch.testing.assert_close(views[:, 0], images[..., :28])
    torch.testing.assert_close(views[:, 1], images[..., 28:])


def test_both_crops_come_from_their_own_image():
    """A batch's views are those of its images one by one."""
    config = compose(["dataset=same-image", "model=multi-stn", "init=random"])
    transformer, images = build_network(config).transformer, inputs(config)
    one_by_one = torch.cat([transformer(image[None]).views for image in images])
    torch.testing.assert_close(transformer(images).views, one_by_one)


def test_channels_share_the_localization_network_but_not_theta():
    config = compose(["dataset=two-channel", "model=multi-stn", "init=torch-default"])
    transformer, images = build_network(config).transformer, inputs(config)
    theta = transformer(images).theta
    swapped = transformer(images.flip(1)).theta
    torch.testing.assert_close(theta.flip(1), swapped)
    assert not torch.allclose(theta[:, 0], theta[:, 1])


def test_random_start_is_a_gaussian_bias_under_zero_weight():
    layer = network("init=random").transformer.localization.theta
    assert layer.weight.eq(0).all()
    biases = torch.stack(
        [network("init=random", f"seed={s}").transformer.localization.theta.bias for s in range(40)]
    )
    assert biases.std().item() == pytest.approx(1, abs=0.15)
    assert biases.unique(dim=0).shape[0] == 40


def test_random_start_of_a_warp_of_time_leaves_the_values():
    config = compose(["dataset=mimic", "model=ts-stn", "init=random"])
    theta = build_network(config).transformer(inputs(config)).theta[:, 0]
    assert theta[:, 2:].tolist() == [[1.0, 0.0]] * 4
    assert (theta[:, :2] == theta[0, :2]).all()
    assert theta[0, 0] != 1


def test_torch_default_start_keeps_torchs_weights():
    assert network("init=torch-default").transformer.localization.theta.weight.abs().max() > 0


def test_weights_follow_the_seed_alone():
    torch.rand(3)
    one, same, other = (
        torch.cat([p.flatten() for p in network(f"seed={seed}").parameters()]) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_dropout_is_off_in_evaluation():
    config = compose(["model=cnn"])
    built, images = build_network(config), inputs(config)
    assert not torch.equal(built(images), built(images))
    built.eval()
    assert torch.equal(built(images), built(images))


def test_the_localization_network_may_learn_at_its_own_rate():
    built = network("model.localization.lr=0.0001")
    task = Classification(
        built,
        compose().dataset.spec(),
        compose().optimizer,
        compose().schedule,
        0,
        learning_rates={"transformer": 1e-4},
    )
    rest, own = task.configure_optimizers().param_groups
    assert (rest["lr"], own["lr"]) == (1e-3, 1e-4)
    assert own["params"] == list(built.transformer.parameters())
    assert len(rest["params"]) + len(own["params"]) == len(list(built.parameters()))

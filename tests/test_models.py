"""The networks: every size pinned, every combination stepped once."""

import itertools

import pytest
import torch

from stnlab import parts
from stnlab.config import CONF_DIR, compose
from stnlab.data.image_batches import Examples, ImageBatches
from stnlab.errors import UserError
from stnlab.layers.network import build_network
from stnlab.task import Classification

DATASETS = sorted(path.stem for path in (CONF_DIR / "dataset").glob("*.yaml"))
MODELS = sorted(path.stem for path in (CONF_DIR / "model").glob("*.yaml"))

# From SPEC's sizes by hand: a convolution has (in * k * k + 1) * out, a layer (in + 1) * out.
# None: refused.
NUM_PARAMETERS = {
    "rot90": {"cnn": 27_095, "fcn": 27_562, "stn": 27_360, "stn-fcn": 54_992, "multi-stn": None},
    "RTS": {"cnn": 27_095, "fcn": 27_562, "stn": 27_360, "stn-fcn": 54_992, "multi-stn": None},
    "two-channel": {
        **{"cnn": 27_804, "fcn": 52_947, "stn": 28_461, "stn-fcn": 105_465},
        "multi-stn": 43_819,
    },
    "same-image": {
        **{"cnn": 62_554, "fcn": 52_947, "stn": 62_539, "stn-fcn": 105_465},
        "multi-stn": 50_737,
    },
    **{
        f"jaderberg-{name}": {
            **{"cnn": 27_095, "fcn": 27_562, "stn": 27_360, "stn-fcn": 54_992},
            "multi-stn": None,
        }
        for name in "rpe"
    },
    "jaderberg-rts": {
        **{"cnn": 68_345, "fcn": 58_922, "stn": 73_160, "stn-fcn": 117_712},
        "multi-stn": None,
    },
    "jaderberg-tc": {
        **{"cnn": 187_095, "fcn": 117_674, "stn": 191_200, "stn-fcn": 235_216},
        "multi-stn": None,
    },
    "mimic": {
        **{"cnn": 16_487, "fcn": 118_946, "ts-stn": 21_380, "lstm": 8_226, "logistic": 458},
        **{"time-in-range": 6_598, "alignment": 7_332},
    },
    "physionet2012": {
        **{"cnn": 16_787, "fcn": 128_162, "ts-stn": 22_016, "lstm": 8_610, "logistic": 494},
        **{"time-in-range": 6_822, "alignment": 7_668},
    },
    "images": {
        **{"cnn": 38_488, "fcn": 100_547, "stn": 39_527, "stn-fcn": 201_193},
        "multi-stn": None,
    },
    "ucr": {
        **{"cnn": 12_838, "fcn": 5_443, "ts-stn": 13_907, "lstm": 3_507, "logistic": 21},
        **{"time-in-range": 834, "alignment": 3_508},
    },
    "series": {
        **{"cnn": 12_838, "fcn": 5_443, "ts-stn": 13_907, "lstm": 3_507, "logistic": 21},
        **{"time-in-range": 834, "alignment": 3_508},
    },
}
# The same at about the original paper's size: cnn, fcn, stn, stn-fcn.
OF_28 = (331_690, 335_114, 342_776, 362_544)
NUM_PARAMETERS_400K = {
    **dict.fromkeys(("rot90", "RTS", "jaderberg-r", "jaderberg-p", "jaderberg-e"), OF_28),
    "jaderberg-rts": (460_714, 585_994, 477_800, 644_784),
    "jaderberg-tc": (921_514, 1_056_010, 964_600, 1_173_552),
    "two-channel": (337_459, 538_131, 349_045, 590_649),
    "same-image": (418_291, 538_131, 432_177, 590_649),
    "images": (372_323, 919_043, 385_609, 1_019_689),
    "mimic": (130_146, 1_066_242, None, None),
    "physionet2012": (133_602, 1_139_970, None, None),
    **dict.fromkeys(("series", "ucr"), (87_587, 158_211, None, None)),
}
for _dataset, _sizes in NUM_PARAMETERS_400K.items():
    _models = [f"{model}-400k" for model in ("cnn", "fcn", "stn", "stn-fcn")]
    NUM_PARAMETERS[_dataset] |= dict(zip(_models, _sizes, strict=True))
PAIRS = [(dataset, model) for dataset in DATASETS for model in MODELS]
parts.load_own()
IMAGE_WARPS = [
    name for name, part in parts.offered("warp").items() if issubclass(part, parts.ImageWarp)
]


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


@pytest.mark.parametrize("dataset", [each for each in DATASETS if each.startswith("jaderberg")])
def test_every_warp_takes_a_step_on_what_the_paper_was_tried_on(dataset):
    """Of every model that has one, on digits as they are trained on."""
    digits = compose([f"dataset={dataset}"]).dataset.load()
    fitting = [model for model in MODELS if NUM_PARAMETERS[dataset].get(model)]
    warping = [
        model
        for model in fitting
        if compose([f"dataset={dataset}", f"model={model}"]).model.has_transformer
    ]
    assert len(warping) == 4
    for model, warp in itertools.product(warping, IMAGE_WARPS):
        config = compose([f"dataset={dataset}", f"model={model}", f"warp={warp}", "padding=black"])
        few = Examples(digits.train.images, digits.train.members[:4], digits.train.targets[:4])
        batches = ImageBatches(
            *(few, config.dataset.spec()),
            **{"mean": digits.mean, "std": digits.std, "batch_size": 4},
            distortion=config.distortion,
        )
        pixels, targets = next(iter(batches))
        built = build_network(config)
        before = built.transformer.localization.theta.bias.clone()
        torch.nn.functional.cross_entropy(built(pixels), targets).backward()
        torch.optim.Adam(built.parameters()).step()
        assert not torch.equal(built.transformer.localization.theta.bias, before)


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

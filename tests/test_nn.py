"""The layers for other people's networks, and the examples of their docstrings."""

import copy
import doctest
import shutil

import pytest
import torch
from torch import nn

from stnlab.errors import UserError
from stnlab.geometry.time import read_at
from stnlab.layers import transformer as examples
from stnlab.nn import SpatialTransformer, TimeTransformer

LAYERS = [
    (SpatialTransformer, (3, 32, 24), {}),
    (SpatialTransformer, (2, 28, 28), {"per_channel": True, "padding_mode": "border"}),
    (
        SpatialTransformer,
        (2, 28, 28),
        {"per_channel": True, "padding_mode": "black", "padding_value": (-0.5, -2.0)},
    ),
    (SpatialTransformer, (3, 24, 24), {"padding_mode": "black", "padding_value": -0.4}),
    (SpatialTransformer, (1, 28, 56), {"align_corners": False, "num_views": 2}),
    (SpatialTransformer, (1, 24, 24), {"warp": "projective"}),
    (SpatialTransformer, (1, 24, 24), {"warp": "tps", "padding_mode": "border"}),
    (SpatialTransformer, (1, 24, 24), {"warp": "similarity"}),
    (TimeTransformer, (5, 40), {}),
    (TimeTransformer, (1, 24), {"padding_mode": "zeros", "align_corners": False}),
    (TimeTransformer, (2, 40), {"warp": "monotone"}),
    (TimeTransformer, (2, 40), {"warp": "cpab", "slope_and_offset": False}),
    (TimeTransformer, (3, 40), {"warp": "cpab", "per_channel": ["a", "b", "a"]}),
    (TimeTransformer, (2, 24), {"per_channel": True, "align_corners": False}),
]


@pytest.fixture(autouse=True)
def same_weights():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def turned(layer):
    """The layer with a theta that depends on its input, as after training."""
    nn.init.normal_(layer.localization.theta.weight, std=0.05)
    return layer


def test_the_examples_of_the_docstrings_run():
    found = doctest.testmod(examples)
    assert found.attempted > 10
    assert found.failed == 0


@pytest.mark.parametrize(("kind", "shape", "options"), LAYERS)
def test_it_starts_at_the_exact_identity(kind, shape, options):
    layer = kind(shape, **options)
    inputs = torch.randn(4, *shape)
    views, theta = layer(inputs)
    expected = layer.warp.identity
    if kind is TimeTransformer:
        expected = expected * len(layer.warp_names) + ((1, 0) if layer.slope_and_offset else ())
        assert len(layer.parameter_names) == len(expected)
    assert (theta == torch.tensor(expected)).all()
    assert theta.shape[:2] == views.shape[:2]
    apart = kind is SpatialTransformer and options.get("per_channel")
    per_view = inputs.flatten(0, 1)[:, None] if apart else inputs
    for view in (views.flatten(0, 1)[:, None] if apart else views).unbind(1):
        torch.testing.assert_close(view, per_view, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("kind", "shape", "options"), LAYERS)
def test_it_learns(kind, shape, options):
    layer = kind(shape, **options)
    inputs = torch.randn(4, *shape, requires_grad=True)
    layer(inputs).views.square().mean().backward()
    assert layer.localization.theta.bias.grad.abs().sum() > 0
    assert inputs.grad.isfinite().all()


@pytest.mark.parametrize(("kind", "shape", "options"), LAYERS)
def test_autocast_leaves_the_warp_at_full_precision(kind, shape, options):
    """The predicted theta is a half's, where it is read is exact."""
    layer = turned(kind(shape, **options)).eval()
    inputs = torch.randn(4, *shape)
    with torch.autocast("cpu", torch.bfloat16):
        views, theta = layer(inputs)
    assert views.dtype == theta.dtype == torch.float32
    apart = kind is SpatialTransformer and options.get("per_channel")
    images = inputs.flatten(0, 1)[:, None] if apart else inputs
    thetas = theta.flatten(0, 1)[:, None] if apart else theta
    torch.testing.assert_close(
        views.flatten(), layer._views(images, thetas).flatten(), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(theta, layer(inputs).theta, atol=0.1, rtol=0.1)


@pytest.mark.parametrize(("kind", "shape", "options"), LAYERS)
def test_it_is_exported_with_the_network_around_it(kind, shape, options):
    layer = turned(kind(shape, **options)).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        layer, (torch.randn(3, *shape),), dynamic_shapes=({0: batch},)
    ).module()
    for num in (1, 6):
        inputs = torch.randn(num, *shape)
        for found, expected in zip(program(inputs), layer(inputs), strict=True):
            # The kernel and torch's operators round differently, and noise is steep.
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile needs a C++ compiler"
)
def test_it_is_compiled():
    """A step of training too; the smallest layer, as compiling takes its time."""
    layer = turned(TimeTransformer((1, 12), channels=(2,), kernel_sizes=(3,), hidden=4))
    compiled = torch.compile(copy.deepcopy(layer))
    series = torch.randn(4, 1, 12)
    for each in (layer, compiled):
        each(series).views.square().mean().backward()
    torch.testing.assert_close(compiled(series).views, layer(series).views)
    for found, expected in zip(compiled.parameters(), layer.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, atol=1e-5, rtol=1e-4)


def test_a_warp_for_each_channel_reads_each_on_its_own():
    layer = turned(TimeTransformer((3, 40), "cpab", per_channel=["a", "b", "a"]))
    inputs = torch.randn(4, 3, 40)
    views, theta = layer(inputs)
    at, back = layer.moments(theta), layer.inverse_moments(theta)
    assert at.shape == back.shape == (4, 3, 40)
    assert torch.equal(at[:, 0], at[:, 2])
    assert not torch.equal(at[:, 0], at[:, 1])
    slope, offset = theta[:, 0, -2:, None].unbind(1)
    read = read_at(inputs[:, 1:2], at[:, 1], "border")[:, 0]
    torch.testing.assert_close(views[:, 0, 1], slope * read + offset)
    alone = layer.warp.moments(theta[:, 0, 15:30], 40, True)
    assert torch.equal(at[:, 1], alone)
    assert layer.summary(theta, 1)["fastest"].shape == (4,)
    assert layer.describe(theta)["theta/fastest"].shape == (8,)


@pytest.mark.parametrize("warp", ["time-affine", "monotone", "cpab"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_padding_changes_nothing_for_series_of_unequal_length(warp, per_channel):
    """A localization network that looks at the series' own steps alone, on any width of batch."""

    class OwnMean(nn.Module):
        def __init__(self, num):
            super().__init__()
            self.linear = nn.Linear(2, num)

        def forward(self, inputs, lengths):
            return self.linear(inputs.sum(dim=2) / lengths[:, None])[:, None]

    num = len(TimeTransformer((2, 40), warp, per_channel=per_channel).parameter_names)
    layer = TimeTransformer((2, 40), warp, per_channel=per_channel, localization=OwnMean(num))
    series, lengths = torch.randn(3, 2, 25), torch.tensor([25, 11, 18])
    padded = torch.cat([series, torch.full((3, 2, 15), 7.0)], dim=2)
    views, theta = layer(series, lengths)
    again, _ = layer(padded, lengths)
    assert torch.equal(views, again)
    assert views.shape == (3, 1, 2, 40)
    for view, length, at in zip(views, lengths, layer.moments(theta, lengths), strict=True):
        assert (view[..., length:] == 0).all()
        if warp != "time-affine":
            assert at[:, length - 1].tolist() == [pytest.approx(length.item() - 1)] * len(at)


def test_a_localization_network_of_ones_own():
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Unflatten(1, (2, 6)))
    layer = SpatialTransformer((1, 8, 8), view_size=(4, 6), num_views=2, localization=own)
    assert layer(torch.rand(3, 1, 8, 8)).views.shape == (3, 2, 1, 4, 6)


def test_what_lies_outside_goes_along_and_is_no_weight():
    """To another precision, and to a network that was trained with another padding."""
    black = SpatialTransformer((2, 28, 28), padding_mode="black", padding_value=(-1, 0.5))
    assert black.padding_value.flatten().tolist() == [-1, 0.5]
    assert black.double().padding_value.dtype == torch.float64
    SpatialTransformer((2, 28, 28)).load_state_dict(black.state_dict())


def test_its_weights_are_saved_by_name():
    layer = SpatialTransformer((3, 32, 32))
    assert list(layer.state_dict())[:2] == [
        "localization.block1.weight",
        "localization.block1.bias",
    ]
    SpatialTransformer((3, 32, 32)).load_state_dict(layer.state_dict())


@pytest.mark.parametrize(
    ("kind", "arguments", "options", "message"),
    [
        (SpatialTransformer, ((28, 28),), {}, r"in_shape is \(28, 28\); allowed: \(channels, heig"),
        (SpatialTransformer, ((1, 28, 28), "afine"), {}, "warp is 'afine'.*Did you mean 'affine'"),
        (SpatialTransformer, ((1, 28, 28), "time-affine"), {}, "warp is 'time-affine'; allowed"),
        (TimeTransformer, ((1, 28), "affine"), {}, "warp is 'affine'; allowed: .*time-affine"),
        (TimeTransformer, ((3, 48),), {"per_channel": ["a"]}, "per_channel is .* of 3 channels"),
        (SpatialTransformer, ((1, 28, 28),), {"padding_mode": "zero"}, "padding_mode is 'zero'"),
        (TimeTransformer, ((1, 48),), {"padding_mode": "black"}, "'black'; allowed: zeros, border"),
        (
            *(
                SpatialTransformer,
                ((3, 28, 28),),
                {"padding_mode": "black", "padding_value": (0, 1)},
            ),
            r"padding_value is \(0, 1\); allowed: a finite number, or one for each of 3 channels",
        ),
        (SpatialTransformer, ((1, 28, 28),), {"padding_mode": "black"}, "padding_value is None"),
        (
            SpatialTransformer,
            ((1, 28, 28),),
            {"padding_value": 0.0},
            "padding_value is 0.0; allowed",
        ),
        (SpatialTransformer, ((1, 8, 8),), {}, "kernel_sizes is .*Use smaller kernels"),
        (SpatialTransformer, ((1, 28, 28),), {"channels": (8,)}, "kernel_sizes is"),
        (TimeTransformer, ((1, 48),), {"hidden": 0}, "hidden is 0"),
        (SpatialTransformer, ((1, 28, 28),), {"num_views": 0}, "num_views is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(kind, arguments, options, message):
    with pytest.raises(UserError, match=message):
        kind(*arguments, **options)

"""The convolutional block equals the plain operators: values, all gradients, ties."""

import copy

import pytest
import torch
import torch.nn.functional as F

from stnlab.layers.convolution import ConvPoolRelu, output_size

SHAPES = [  # images, channels, height, width, out, kernel
    (64, 1, 28, 28, 10, 5),  # the ones that the networks here have ...
    (64, 10, 12, 12, 25, 5),
    (64, 10, 12, 12, 20, 5),
    (64, 1, 28, 28, 8, 7),
    (64, 8, 11, 11, 10, 5),
    (64, 2, 28, 28, 10, 5),
    (16, 1, 28, 56, 10, 5),
    (16, 10, 12, 26, 25, 5),
    (16, 1, 28, 56, 8, 7),
    (16, 8, 11, 25, 10, 5),
    (3, 3, 9, 8, 4, 3),  # ... and odd sizes, even kernels, single pixels
    (3, 3, 9, 9, 4, 2),
    (1, 1, 6, 6, 3, 5),
    (2, 2, 6, 14, 1, 4),
    (2, 2, 7, 6, 50, 1),
]


def plain(layer, images):
    return F.relu(F.max_pool2d(F.conv2d(images, layer.weight, layer.bias), 2))


def relative_difference(found, expected):
    assert found.shape == expected.shape
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients(shape, dtype, tolerance, memory_format):
    """In float32 rounding may break a near-tie of a window the other way, hence 1e-4."""
    torch.manual_seed(0)
    num_images, channels, height, width, out, kernel = shape
    images = torch.randn(num_images, channels, height, width, dtype=dtype)
    images = images.contiguous(memory_format=memory_format).requires_grad_()
    layer = ConvPoolRelu(channels, out, kernel).to(dtype)
    found, expected = layer(images), plain(layer, images)
    assert relative_difference(found, expected) <= (1e-12 if dtype == torch.float64 else 1e-6)
    assert found.shape[2:] == output_size((height, width), layer.kernel_size[0])
    grad, inputs = torch.randn_like(expected), (images, layer.weight, layer.bias)
    for one, other in zip(
        torch.autograd.grad(found, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
        strict=True,
    ):
        assert relative_difference(one, other) <= tolerance


def test_ties_go_where_torch_sends_them():
    torch.manual_seed(0)
    images = torch.randint(0, 2, (8, 1, 12, 12)).double().requires_grad_()  # exact ties abound
    layer = ConvPoolRelu(1, 4, 3).double()
    torch.nn.init.constant_(layer.bias, 0.5)
    layer.weight.data = torch.randint(-1, 2, layer.weight.shape).double()
    grad = torch.randn(8, 4, 5, 5, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad(y, images, grad)[0] for y in (layer(images), plain(layer, images))
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("channels", "out", "kernel"), [(1, 2, 3), (2, 3, 2), (2, 12, 1)])
def test_gradcheck(channels, out, kernel):
    torch.manual_seed(0)
    layer = ConvPoolRelu(channels, out, kernel).double()
    images = torch.randn(2, channels, 7, 10, dtype=torch.float64, requires_grad=True)

    def run(images, weight, bias):
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(layer, parameters, (images,))

    assert torch.autograd.gradcheck(run, (images, layer.weight, layer.bias))


def test_to_the_outside_it_is_a_convolution():
    torch.manual_seed(0)
    layer = ConvPoolRelu(2, 3, 5)
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(2, 3, 5)
    assert layer.state_dict().keys() == conv.state_dict().keys()
    assert torch.equal(layer.weight, conv.weight)
    assert torch.equal(layer.bias, conv.bias)


def test_without_gradients_and_copied():
    layer, images = ConvPoolRelu(2, 3, 5), torch.randn(2, 2, 9, 9)
    with torch.inference_mode():
        inferred = layer(images)
    with torch.no_grad():
        assert torch.equal(layer(images), inferred)
    assert torch.equal(copy.deepcopy(layer)(images), inferred)


def test_mixed_precision_and_other_devices_take_the_plain_operators():
    layer, images = ConvPoolRelu(1, 10, 5), torch.randn(2, 1, 28, 28)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(images).float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.to("meta")(images.to("meta")).shape == (2, 10, 12, 12)


def test_dropout2d_may_follow_the_block():
    layer, images = ConvPoolRelu(1, 6, 5), torch.randn(4, 1, 12, 12)
    torch.manual_seed(1)
    after = F.dropout2d(layer(images), 0.5)
    torch.manual_seed(1)
    between = F.dropout2d(F.conv2d(images, layer.weight, layer.bias), 0.5)
    torch.testing.assert_close(after, F.relu(F.max_pool2d(between, 2)))

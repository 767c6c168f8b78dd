"""The compiled kernel equals torch's operators, on every path that this processor has."""

import random

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from stnlab.errors import UserError
from stnlab.kernels import blocks as kernel
from stnlab.layers.convolution import ConvPoolRelu, in_a_row

PATHS = ("plain", "avx2", "avx512")


@pytest.fixture
def take(monkeypatch):
    """Sets a path of the kernel, or skips the test where there is no such path."""

    def taken(path):
        monkeypatch.setenv(kernel.SWITCH, path)
        kernel.path.cache_clear()
        try:
            return kernel.path()
        except UserError as error:
            pytest.skip(str(error))

    yield taken
    kernel.path.cache_clear()


@pytest.fixture(params=PATHS)
def path(request, take):
    return take(request.param)


def chain(seed, series=False):
    """Random inputs, and parameters of one block or two, all wanting gradients."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    axes = 1 if series else 2
    num, channels = rng.choice([1, 3, 15, 16, 17, 40]), rng.choice([1, 2, 3, 10])
    inputs = torch.randn(num, channels, *(rng.randint(16, 40) for _ in range(axes)))
    parameters, outs = [], [rng.randint(1, 26) for _ in range(rng.randint(1, 2))]
    for out in outs:
        size = [rng.randint(1, 5) for _ in range(axes)]
        fan_in = channels * torch.Size(size).numel()
        parameters += [torch.randn(out, channels, *size) / fan_in**0.5, torch.randn(out) / 4]
        channels = out
    return [each.requires_grad_() for each in (inputs, *parameters)]


def gradients(function, operands, grad):
    y = function(*operands)
    return [y, *torch.autograd.grad(y, operands, grad.to(y.dtype))]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("series", [False, True], ids=["images", "series"])
@pytest.mark.parametrize("seed", range(12))
def test_random_shapes(seed, series):
    """The reference is in double precision, where a near-tie is as good as never one."""
    operands = chain(seed, series)
    assert kernel.takes(*operands)
    exact = [each.detach().double().requires_grad_() for each in operands]
    grad = torch.randn_like(kernel.plain(*operands))
    found = gradients(kernel.conv_pool_relu, operands, grad)
    for one, other in zip(found, gradients(kernel.plain, exact, grad), strict=True):
        assert one.shape == other.shape
        assert (one - other).norm() <= 2e-5 * other.norm()


def test_avx2_and_avx512_give_the_same_numbers(take):
    operands, found = chain(1), []
    grad = torch.randn_like(kernel.plain(*operands))
    for path in ("avx512", "avx2"):
        take(path)
        found.append(gradients(kernel.conv_pool_relu, operands, grad))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.usefixtures("path")
def test_same_numbers_again_and_beside_any_others():
    torch.manual_seed(0)
    images, layer = torch.randn(35, 2, 13, 15, requires_grad=True), ConvPoolRelu(2, 7, 3)
    y = layer(images)
    grad = torch.randn_like(y)
    (grad_images,) = torch.autograd.grad(y, images, grad)
    assert torch.equal(layer(images), y)
    for some in ([3], [34, 0, 12], list(range(17))):
        few = images[some].detach().requires_grad_()
        assert torch.equal(layer(few), y[some])
        (found,) = torch.autograd.grad(layer(few), few, grad[some])
        assert torch.equal(found, grad_images[some])


@pytest.mark.usefixtures("path")
def test_ties_go_where_torch_sends_them():
    torch.manual_seed(0)
    operands = [
        torch.randint(0, 2, (17, 2, 12, 13)).float().requires_grad_(),
        torch.randint(-1, 2, (5, 2, 3, 3)).float().requires_grad_(),
        torch.full((5,), 0.5, requires_grad=True),
    ]
    y = kernel.plain(*operands)
    grad = torch.randint_like(y, -3, 4)  # whole numbers are summed exactly in any order
    found = gradients(kernel.conv_pool_relu, operands, grad)
    expected = gradients(kernel.plain, operands, grad)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.usefixtures("path")
def test_what_is_no_number_comes_through():
    torch.manual_seed(0)
    images, layer = torch.randn(3, 1, 12, 12), ConvPoolRelu(1, 4, 3)
    images[0, 0, 5, 5], images[1, 0, 2, 8] = torch.nan, torch.inf
    found, expected = layer(images), kernel.plain(images, layer.weight, layer.bias)
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert found.isnan().any()
    assert torch.isfinite(found[2]).all()
    found.sum().backward()
    assert layer.weight.grad.isnan().flatten(1).any(1).all()


@pytest.mark.usefixtures("path")
def test_a_gradient_of_the_gradient():
    torch.manual_seed(0)
    operands = [torch.randn(2, 1, 8, 8), torch.randn(3, 1, 3, 3), torch.randn(3)]
    for each in operands:
        each.requires_grad_()
    seconds = []
    for function in (kernel.conv_pool_relu, kernel.plain):
        first = torch.autograd.grad(
            (function(*operands) ** 2).sum(), operands[0], create_graph=True
        )[0]
        seconds.append(torch.autograd.grad((first**2).sum(), operands))
    for one, other in zip(*seconds, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = ConvPoolRelu(1, 4, 3), ConvPoolRelu(4, 6, 3)

    def forward(self, images):
        return in_a_row(images, self.first, self.second)


def test_export_compile_and_fake_tensors_get_past():
    torch.manual_seed(0)
    two, images = Two(), torch.randn(5, 1, 18, 18)
    expected = two(images)
    exported = torch.export.export(two, (images,)).module()
    compiled = torch.compile(two, backend="eager", fullgraph=True)
    for way in (exported, compiled):
        torch.testing.assert_close(way(images), expected)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert two(torch.empty(5, 1, 18, 18)).shape == expected.shape
    torch.testing.assert_close(torch.vmap(two)(images[:, None])[:, 0], expected)
    leaf = images.clone().requires_grad_()
    two(leaf).sum().backward()
    found = torch.func.grad(lambda images: two(images).sum())(images)
    torch.testing.assert_close(found, leaf.grad)


@pytest.mark.usefixtures("path")
def test_other_types_have_torchs_operators():
    layer, images = ConvPoolRelu(1, 4, 3), torch.randn(2, 1, 8, 8)
    parameters = layer.weight, layer.bias
    assert kernel.takes(images, *parameters)
    assert not kernel.takes(images.double(), *parameters)
    assert not kernel.takes(images.to("meta"), *parameters)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not kernel.takes(images, *parameters)
    assert not kernel.takes(torch.randn(2, 1, 3, 3), *parameters)  # nothing is left of it


def test_the_switch(monkeypatch, caplog):
    monkeypatch.setenv(kernel.SWITCH, "sse9")
    kernel.path.cache_clear()
    with pytest.raises(UserError, match=r"STNLAB_KERNEL=sse9: here it can be torch"):
        kernel.path()
    caplog.clear()
    monkeypatch.setenv(kernel.SWITCH, "torch")
    kernel.path.cache_clear()
    assert kernel.path() == "torch"
    assert not caplog.records
    kernel.path.cache_clear()


def test_without_the_kernel_it_is_said_once(monkeypatch, caplog):
    monkeypatch.delenv(kernel.SWITCH, raising=False)
    monkeypatch.setattr(kernel, "find_spec", lambda _: None)
    kernel.path.cache_clear()
    kernel._library.cache_clear()
    try:
        layer, images = ConvPoolRelu(1, 4, 3), torch.randn(2, 1, 8, 8)
        for _ in range(2):
            torch.testing.assert_close(
                layer(images), F.relu(F.max_pool2d(F.conv2d(images, layer.weight, layer.bias), 2))
            )
        assert kernel.path() == "torch"
        (record,) = caplog.records
        assert "was not built when stnlab was installed" in record.message
        assert "`pip install -e .` builds it" in record.message
    finally:
        kernel.path.cache_clear()
        kernel._library.cache_clear()

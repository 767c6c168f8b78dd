"""The compiled kernels equal torch's operators, on every path that this processor has."""

import random

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from stnlab.errors import UserError
from stnlab.geometry import cpab, projective
from stnlab.kernels import blocks as kernel
from stnlab.kernels import compiled, flow
from stnlab.kernels.compiled import library
from stnlab.layers.convolution import ConvPoolRelu, in_a_row

PATHS = ("plain", "avx2", "avx512")


@pytest.fixture
def take(monkeypatch):
    """Sets a path of the kernel, or skips the test where there is no such path."""

    def taken(path):
        monkeypatch.setenv(compiled.SWITCH, path)
        compiled.path.cache_clear()
        try:
            return compiled.path()
        except UserError as error:
            pytest.skip(str(error))

    yield taken
    compiled.path.cache_clear()


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
@pytest.mark.parametrize("is_turned", [False, True])
def test_a_gradient_of_the_gradient(is_turned):
    torch.manual_seed(0)
    operands = [torch.randn(2, 1, 8, 8), torch.randn(3, 1, 3, 3), torch.randn(3)]
    if is_turned:
        operands[0] = operands[0].transpose(2, 3)
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


# --- the flow of a velocity


def velocities(scale, num_cells=16, num=200):
    rng = torch.Generator().manual_seed(num_cells)
    return scale * torch.randn(num, num_cells + 1, generator=rng)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("num_points", [1, 7, 8, 48, 131])
@pytest.mark.parametrize("num_cells", [2, 7, 16, 256])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.05, 0.5, 3.0])
def test_flows(scale, num_cells, num_points):
    """As exact as torch's operators are in single precision, against double precision."""
    given, at = velocities(scale, num_cells), torch.linspace(0, 1, num_points)
    given[1:20] = given[1:20].abs() + 0.1  # all that go on, through many cells
    given[20:40, ::2] = 0  # zeros that no point comes past
    given.requires_grad_()
    assert flow.takes(given, at)
    exact = given.detach().double().requires_grad_()
    grad = torch.randn(len(given), num_points, generator=torch.Generator().manual_seed(1))
    found = gradients(lambda v: cpab.displacement(v, at), [given], grad)
    plain = gradients(lambda v: cpab._plain(v, at), [given], grad)
    exact = gradients(lambda v: cpab.displacement(v, at.double()), [exact], grad)
    off, off_plain = ((each[0] - exact[0]).abs().max() for each in (found, plain))
    assert off <= 3 * off_plain + 2e-6
    # Where a rounding decides in which cell a point ends, either's gradient may be off.
    allowed = 1e-4 * (1 + exact[1].norm(dim=1))
    wrong, wrong_plain = (
        ((each[1] - exact[1]).norm(dim=1) > allowed).float().mean() for each in (found, plain)
    )
    assert wrong <= wrong_plain + 0.05
    assert wrong <= 0.1


@pytest.mark.usefixtures("path")
def test_the_flow_at_the_identity_is_exact():
    given, at = torch.zeros(3, 9, requires_grad=True), torch.linspace(0, 1, 17)
    moved = cpab.displacement(given, at)
    assert not moved.any()
    moved[:, 8].sum().backward()
    assert given.grad.tolist() == [[0, 0, 0, 0, 1, 0, 0, 0, 0]] * 3


@pytest.mark.usefixtures("path")
def test_a_flow_does_not_depend_on_others_nor_on_how_times_are_given():
    given, at = velocities(0.3).requires_grad_(), torch.linspace(0, 1, 21)
    grad = torch.randn(len(given), 21)
    expected = gradients(lambda v: cpab.displacement(v, at), [given], grad)
    found = gradients(lambda v: cpab.displacement(v, at.expand(200, -1)), [given], grad)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    some = given[[5, 3, 77]].detach().requires_grad_()
    few = gradients(lambda v: cpab.displacement(v, at), [some], grad[[5, 3, 77]])
    for one, other in zip(expected, few, strict=True):
        assert torch.equal(one[[5, 3, 77]], other)
    own = torch.rand(200, 21, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        cpab.displacement(given, own), cpab._plain(given, own), atol=1e-5, rtol=0
    )


def test_paths_with_a_fused_multiply_add_give_the_same_flow(take):
    given, at, found = velocities(0.3).requires_grad_(), torch.linspace(0, 1, 21), []
    for path in ("avx512", "avx2"):
        take(path)
        found.append(gradients(lambda v: cpab.displacement(v, at), [given], torch.ones(200, 21)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.usefixtures("path")
def test_a_velocity_that_is_no_number_comes_through():
    given, at = velocities(0.3, num=3), torch.linspace(0, 1, 17)
    given[0], given[1] = torch.nan, torch.inf
    given.requires_grad_()
    moved = cpab.displacement(given, at)
    assert not moved[0].isfinite().any()
    assert torch.equal(moved[2], cpab.displacement(given[2:], at)[0])
    moved.sum().backward()
    assert given.grad[0].isnan().any()
    assert given.grad[2].isfinite().all()


@pytest.mark.usefixtures("path")
def test_derivatives_of_the_flow_by_other_ways():
    given, at = velocities(0.3, num=4), torch.linspace(0, 1, 9)
    given.requires_grad_()
    (first,) = torch.autograd.grad(
        cpab.displacement(given, at).square().sum(), given, create_graph=True
    )
    (second,) = torch.autograd.grad(first.square().sum(), given)
    (plain,) = torch.autograd.grad(cpab._plain(given, at).square().sum(), given, create_graph=True)
    torch.testing.assert_close(first, plain, rtol=1e-4, atol=1e-5)
    (expected,) = torch.autograd.grad(plain.square().sum(), given)
    torch.testing.assert_close(second, expected, rtol=1e-3, atol=1e-4)
    jacobian = torch.func.jacrev(lambda v: cpab.displacement(v, at))(given.detach())
    one = torch.autograd.grad(cpab.displacement(given, at)[2, 4], given)[0]
    torch.testing.assert_close(jacobian[2, 4], one, rtol=1e-4, atol=1e-5)


def test_the_flow_that_torchs_operators_have():
    given, at = velocities(0.3), torch.linspace(0, 1, 9)
    assert flow.takes(given, at) == (compiled.path() != "torch")
    assert not flow.takes(given.double(), at)
    assert not flow.takes(given, at.requires_grad_())
    assert not flow.takes(velocities(0.3, 257), at.detach())
    exported = torch.export.export(Carried(), (given,)).module()
    torch.testing.assert_close(exported(given), Carried()(given), rtol=1e-4, atol=1e-5)


class Carried(torch.nn.Module):
    def forward(self, given):
        return cpab.displacement(given, torch.linspace(0, 1, 9))


# --- the points of a homography


def homographies(num=5):
    rng = torch.Generator().manual_seed(num)
    theta = 0.3 * torch.randn(num, 8, generator=rng) + torch.tensor([1.0, 0, 0, 0, 1, 0, 0, 0])
    theta[0, 6:] = torch.tensor([2.0, 1.0])  # a part of the image is beyond the horizon
    return theta.requires_grad_()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (28, 28), (11, 9)])
@pytest.mark.parametrize("is_planar", [True, False], ids=["planes", "pairs"])
def test_homographies(size, is_planar):
    theta = homographies()
    exact = theta.detach().double().requires_grad_()
    grad = torch.randn(5, *size, 2, generator=torch.Generator().manual_seed(0))
    if is_planar:
        grad = grad.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    found, expected = (
        gradients(lambda t: projective.projective_grid(t, size, False), [each], grad)
        for each in (theta, exact)
    )
    for one, other in zip(found, expected, strict=True):
        assert ((one - other).norm(dim=-1) <= 1e-5 * (1 + other.norm(dim=-1))).all()
    assert found[0].permute(0, 3, 1, 2).is_contiguous()  # which the sampler goes through fastest
    if compiled.path() != "plain":
        points = projective.kept(projective.pixels, size, False, like=theta)
        plain = projective._plain(theta, points).view(-1, 2, *size).permute(0, 2, 3, 1)
        torch.testing.assert_close(found[0], plain, rtol=1e-6, atol=0)


@pytest.mark.usefixtures("path")
def test_a_homography_that_is_no_number_comes_through():
    theta = homographies().detach()
    theta[1, 0], theta[2, 7] = torch.nan, torch.nan
    theta.requires_grad_()
    grid = projective.projective_grid(theta, (4, 4), False)
    assert grid[1, ..., 0].isnan().all()
    assert grid[2].isnan().all()
    assert grid[3:].isfinite().all()
    grid.sum().backward()
    assert theta.grad[1:3].isnan().any(dim=1).all()
    assert theta.grad[3:].isfinite().all()


@pytest.mark.usefixtures("path")
def test_derivatives_of_a_homography_by_other_ways():
    theta = homographies(3)
    found = []
    for each in (theta, theta.detach().double().requires_grad_()):
        grid = projective.projective_grid(each, (6, 5), False)
        (first,) = torch.autograd.grad(grid.square().mean(), each, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), each)[0])
    torch.testing.assert_close(found[0], found[1].float(), rtol=1e-3, atol=1e-3)


# --- which


def test_the_switch(monkeypatch, caplog):
    monkeypatch.setenv(compiled.SWITCH, "sse9")
    compiled.path.cache_clear()
    with pytest.raises(UserError, match=r"STNLAB_KERNEL=sse9: here it can be torch"):
        compiled.path()
    caplog.clear()
    monkeypatch.setenv(compiled.SWITCH, "torch")
    compiled.path.cache_clear()
    assert compiled.path() == "torch"
    assert not caplog.records
    compiled.path.cache_clear()


def test_without_the_kernel_it_is_said_once(monkeypatch, caplog):
    monkeypatch.delenv(compiled.SWITCH, raising=False)
    monkeypatch.setattr(compiled, "find_spec", lambda _: None)
    compiled.path.cache_clear()
    library.cache_clear()
    try:
        layer, images = ConvPoolRelu(1, 4, 3), torch.randn(2, 1, 8, 8)
        for _ in range(2):
            torch.testing.assert_close(
                layer(images), F.relu(F.max_pool2d(F.conv2d(images, layer.weight, layer.bias), 2))
            )
        assert compiled.path() == "torch"
        (record,) = caplog.records
        assert "were not built when stnlab was installed" in record.message
        assert "`pip install -e .` builds them" in record.message
    finally:
        compiled.path.cache_clear()
        library.cache_clear()

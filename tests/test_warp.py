"""The warp's mathematics, by its properties."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from stnlab.config import compose
from stnlab.geometry.affine import (
    _kept_unit_planes,
    affine_grid,
    determinant,
    share_outside,
    similarity_theta,
)
from stnlab.geometry.sampling import sample
from stnlab.layers.network import build_network

# torch.export's own use of torch, on its first call.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")

IDENTITY = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])


def generic_theta(num: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    rng = torch.Generator().manual_seed(3)
    return IDENTITY.to(dtype) + 0.3 * torch.randn(num, 2, 3, generator=rng, dtype=dtype)


def rotated(image: torch.Tensor, angle: float, shift: tuple[float, float] = (0, 0), scale=1.0):
    theta = similarity_theta(
        torch.tensor([angle]), torch.tensor([shift], dtype=torch.float32), torch.tensor([scale])
    )
    grid = affine_grid(theta, image.shape[-2:], align_corners=False)
    return sample(image[None, None], grid, "zeros", align_corners=False)[0, 0]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(28, 28), (28, 56), (5, 3)])
def test_grid_equals_torchs(align_corners, size):
    theta = generic_theta(4)
    expected = F.affine_grid(theta, [4, 1, *size], align_corners=align_corners)
    torch.testing.assert_close(affine_grid(theta, size, align_corners), expected)


BLACK = torch.tensor([-0.4, 1.5])[:, None, None]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "black"])
def test_identity_theta_leaves_the_image(align_corners, padding_mode):
    image = torch.rand(1, 2, 9, 14)
    grid = affine_grid(IDENTITY, (9, 14), align_corners)
    torch.testing.assert_close(sample(image, grid, padding_mode, align_corners, BLACK), image)


def test_rotation_is_counter_clockwise_on_the_screen():
    image = torch.zeros(5, 5)
    image[2, 4] = 1  # right of the centre
    turned = rotated(image, 90)
    assert turned[0, 2] == pytest.approx(1, abs=1e-5)  # above the centre
    assert turned.sum() == pytest.approx(1, abs=1e-4)


def test_translation_is_right_and_down_in_shares_of_the_width():
    image = torch.zeros(10, 10)
    image[4, 4] = 1
    assert rotated(image, 0, shift=(0.3, 0.1))[5, 7] == pytest.approx(1, abs=1e-5)


def test_scale_above_one_enlarges():
    image = torch.zeros(8, 8)
    image[3:5, 3:5] = 1
    assert rotated(image, 0, scale=2.0).sum() == pytest.approx(16, rel=0.01)


def test_translation_comes_after_rotation():
    image = torch.zeros(11, 11)
    image[5, 8] = 1
    turned = rotated(image, 90, shift=(2 / 11, 0))
    assert turned[2, 7] == pytest.approx(1, abs=1e-4)


def test_inverse_after_forward_is_close_to_the_identity():
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    blob = torch.exp(-((x - 15) ** 2 + (y - 12) ** 2) / 32)
    there_and_back = rotated(rotated(blob, 37), -37)
    assert (there_and_back - blob).abs().max() < 0.03


def test_zeros_and_border_differ_outside_only():
    image = torch.ones(1, 1, 6, 6)
    shifted = torch.tensor([[[1.0, 0, 1.0], [0, 1, 0]]])  # half an image to the right
    grid = affine_grid(shifted, (6, 6), align_corners=True)
    zeros, border = (sample(image, grid, mode, True) for mode in ("zeros", "border"))
    assert torch.equal(border, image)
    assert zeros[0, 0, :, 0].eq(1).all()
    assert zeros[0, 0, :, -1].eq(0).all()


def test_black_is_zeros_of_an_image_whose_black_is_0():
    """Inside, and as the image fades beyond its edge: for each channel its own."""
    image, theta = torch.randn(3, 2, 9, 9), generic_theta(3, torch.float32)
    grid = affine_grid(2 * theta, (9, 9), align_corners=True)
    black = sample(image, grid, "black", True, BLACK)
    shares = sample(torch.ones_like(image), grid, "zeros", True)
    expected = sample(image, grid, "zeros", True) + (1 - shares) * BLACK
    torch.testing.assert_close(black, expected, atol=1e-6, rtol=0)
    outside = (grid.abs() > 1.5).any(dim=3)[:, None].expand_as(black)
    assert outside.any()
    assert torch.equal(black[outside], BLACK.expand_as(black)[outside])


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "black"])
def test_gradients_at_generic_theta(align_corners, padding_mode):
    image = torch.rand(2, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    theta = generic_theta(2).requires_grad_()

    def warp(image, theta):
        grid = affine_grid(theta, (5, 4), align_corners)
        return sample(image, grid, padding_mode, align_corners, BLACK.double())

    assert torch.autograd.gradcheck(warp, (image, theta))


def test_gradient_at_the_identity_is_finite_and_points_to_the_next_cell():
    """Sampling points lie on pixel centres, where the derivative jumps: the cell to the right."""
    image = torch.tensor([0.0, 1.0, 5.0]).expand(1, 1, 2, 3)
    theta = IDENTITY.clone().requires_grad_()
    grid = affine_grid(theta, (2, 3), align_corners=True)
    grid.retain_grad()
    sample(image, grid, "border", True)[0, 0, 0, 1].backward()
    assert grid.grad is not None
    # one pixel is 2 / (3 - 1) = 1 normalised unit wide; from 1 to 5 on its right
    assert grid.grad[0, 0, 1, 0] == pytest.approx(4.0)


def test_determinant():
    theta = similarity_theta(torch.tensor([30.0]), torch.zeros(1, 2), torch.tensor([2.0]))
    assert determinant(theta).item() == pytest.approx(0.25)


def test_share_outside():
    halves = torch.tensor(
        [[[1.0, 0, 1.0], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]], [[1, 0, 9], [0, 1, 0]]]
    )
    assert share_outside(halves, (10, 10), align_corners=True).tolist() == pytest.approx(
        [0.5, 0, 1]
    )


def _exported(_):
    network = build_network(compose(["model=stn"])).eval()
    torch.export.export(network, (torch.zeros(2, 1, 28, 28),))


def _faked(theta):
    with FakeTensorMode() as mode:
        affine_grid(mode.from_tensor(theta), (28, 28), True)
    affine_grid(mode.from_tensor(theta), (28, 28), True)  # its mode is not on


def _differentiated(theta):
    def total(one):
        return affine_grid(one[None], (28, 28), True).square().sum()

    torch.func.vmap(torch.func.grad(total))(theta)
    torch.func.jvp(total, (theta[0],), (theta[0],))


def _faked_and_differentiated(theta):
    with FakeTensorMode() as mode:
        _differentiated(mode.from_tensor(theta))


def _inferred(theta):
    with torch.inference_mode():
        affine_grid(theta, (28, 28), True)


def _traced(theta):
    make_fx(partial(affine_grid, size=(28, 28), align_corners=True), tracing_mode="symbolic")(theta)


@pytest.mark.parametrize(
    "use",
    [_exported, _faked, _differentiated, _faked_and_differentiated, _inferred, _traced],
    ids=lambda use: use.__name__,
)
@pytest.mark.parametrize("is_first", [True, False])
def test_whatever_came_before_a_grid_has_numbers(use, is_first):
    """What is kept between calls is of no other call's kind, and serves any other."""
    theta = generic_theta(2, torch.float32)
    _kept_unit_planes.cache_clear()
    if not is_first:
        affine_grid(theta, (28, 28), True)
    use(theta)
    leaf = theta.clone().requires_grad_()
    grid = affine_grid(leaf, (28, 28), True)
    torch.testing.assert_close(grid, F.affine_grid(theta, [2, 1, 28, 28], align_corners=True))
    grid.sum().backward()
    assert leaf.grad.isfinite().all()


def test_an_exported_network_gives_the_networks_numbers():
    network = build_network(compose(["model=stn", "init=torch-default"])).eval()
    inputs = torch.rand(3, 1, 28, 28)
    exported = torch.export.export(network, (inputs,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(inputs), network(inputs))

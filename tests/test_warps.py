"""The families of image warps, by their properties: each file of conf/warp/ is one."""

import math

import pytest
import torch
import torch.nn.functional as F

from stnlab.config import CONF_DIR, cell, compose
from stnlab.errors import UserError
from stnlab.geometry.affine import affine_grid
from stnlab.geometry.thin_plate_spline import control_points
from stnlab.layers.network import build_network

NAMES = sorted(path.stem for path in (CONF_DIR / "warp").glob("*.yaml"))
IMAGE_WARPS = [name for name in NAMES if name not in ("time-affine", "monotone", "cpab")]
IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
HALF = math.sqrt(0.5)
EYE = torch.eye(2, 3, dtype=torch.float64)[None]


def warp(name, *overrides):
    return compose([f"warp={name}", *overrides]).warp


def at(each, *values, num=1):
    return torch.tensor([values or each.identity], dtype=torch.float64).expand(num, -1)


def near_identity(each, num=3):
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(num, len(each.identity), generator=rng, dtype=torch.float64)
    return at(each, num=num) + 0.1 * noise


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(28, 28), (28, 56), (5, 3)])
@pytest.mark.parametrize("name", IMAGE_WARPS)
def test_the_identity_is_exact(name, size, align_corners):
    each = warp(name)
    expected = F.affine_grid(
        torch.eye(2, 3, dtype=torch.float64)[None], [1, 1, *size], align_corners
    )
    found = each.grid(at(each), size, align_corners)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert each.start(IDENTITY) == pytest.approx(each.identity, abs=1e-12)


@pytest.mark.parametrize("name", IMAGE_WARPS)
def test_the_derivative(name):
    each = warp(name)
    theta = near_identity(each).requires_grad_()

    def grid(theta):
        return each.grid(theta, (4, 5), True)

    assert torch.autograd.gradcheck(grid, theta)
    assert torch.autograd.gradgradcheck(grid, theta)
    found = torch.func.jacrev(grid)(theta.detach())
    torch.testing.assert_close(found, torch.autograd.functional.jacobian(grid, theta))


@pytest.mark.parametrize("name", IMAGE_WARPS)
def test_the_derivative_in_mixed_precision(name):
    network = build_network(compose(["dataset=rot90", "model=stn", f"warp={name}"]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = network(torch.rand(3, 1, 28, 28)).float().square().mean()
    loss.backward()
    grad = network.transformer.localization.theta.bias.grad
    assert grad.isfinite().all()
    assert grad.abs().max() > 0


@pytest.mark.parametrize("name", IMAGE_WARPS)
def test_a_start_in_the_family_is_the_affine_map(name):
    """What a family says it can do of an affine map, it does."""
    each, starts = warp(name), 0
    for affine in (
        IDENTITY,
        [1, 0, 0.3, 0, 1, -0.2],
        [0.5, 0, 0.1, 0, 0.5, 0.2],
        [HALF, -HALF, 0, HALF, HALF, 0],
        [0.4, -0.3, 0.1, 0.3, 0.4, 0.2],
        [0.5, 0, -0.5, 0, 1, 0],
    ):
        theta = each.start([float(value) for value in affine])
        if theta is None:
            continue
        starts += 1
        expected = affine_grid(
            torch.tensor(affine, dtype=torch.float64).view(1, 2, 3), (9, 9), True
        )
        torch.testing.assert_close(each.grid(at(each, *theta), (9, 9), True), expected)
    by_family = {"translation": 2, "rotation": 2, "scale-translation": 3, "similarity": 5}
    assert starts == by_family.get(name, 6)


@pytest.mark.parametrize("size", [(28, 28), (28, 56), (5, 3)])
@pytest.mark.parametrize("name", IMAGE_WARPS)
def test_the_affine_map_at_the_centre(name, size):
    each = warp(name)
    theta = near_identity(each)
    found = each.local_affine(theta, size)
    height, width = (8 * side + 1 for side in size)
    rows = slice(height // 2 - 1, height // 2 + 2)
    columns = slice(width // 2 - 1, width // 2 + 2)
    grid = each.grid(theta, (height, width), True)[:, rows, columns]
    along_x = (grid[:, 1, 2] - grid[:, 1, 0]) * (width - 1) / 4
    along_y = (grid[:, 2, 1] - grid[:, 0, 1]) * (height - 1) / 4
    expected = torch.stack([along_x, along_y, grid[:, 1, 1]], dim=2)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("name", IMAGE_WARPS)
def test_area_and_share_outside(name):
    each = warp(name)
    theta = at(each)
    assert each.area(theta, (28, 28), (28, 28)).item() == pytest.approx(1)
    assert each.area(theta, (28, 56), (28, 28)).item() == pytest.approx(2, rel=0.03)
    assert each.share_outside(theta, (28, 28), True).item() == 0
    shifted = each.start([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    if shifted is not None:
        share = each.share_outside(at(each, *shifted), (28, 28), True).item()
        assert share == pytest.approx(0.5, abs=0.01)


def test_a_rotation_turns_what_is_in_an_image_that_is_not_square():
    each = warp("rotation")
    grid = each.grid(at(each, math.pi / 2), (21, 41), False)[0]
    pixels = grid * torch.tensor([41 / 2, 21 / 2], dtype=torch.float64)
    # Ten pixels right of the centre is read ten pixels below it: what is shown has been turned
    # counter-clockwise, and no distance has changed.
    assert pixels[10, 30].tolist() == pytest.approx([0, 10], abs=1e-9)


def test_a_projective_warp_is_a_homography():
    each = warp("projective")
    theta = at(each, 1.1, 0.1, 0.2, -0.1, 0.9, 0.1, 0.2, -0.3)
    x, y = 0.5, -1.0
    grid = each.grid(theta, (5, 5), True)[0]
    depth = 0.2 * x - 0.3 * y + 1
    expected = [(1.1 * x + 0.1 * y + 0.2) / depth, (-0.1 * x + 0.9 * y + 0.1) / depth]
    assert grid[0, 3].tolist() == pytest.approx(expected)


def test_what_lies_behind_the_horizon_is_outside():
    each = warp("projective")
    theta = at(each, 1, 0, 0, 0, 1, 0, 2, 0)  # the horizon at x = -0.5
    grid = each.grid(theta, (5, 5), True)[0]
    assert (grid[:, 0].abs().amax(dim=1) > 100).all()
    assert grid.isfinite().all()
    theta.requires_grad_()
    assert torch.autograd.gradcheck(lambda theta: each.grid(theta, (5, 7), True), theta)


def test_a_spline_moves_its_control_points_as_it_is_told():
    each = warp("tps")
    theta = near_identity(each, num=1)
    points = torch.as_tensor(control_points(4))
    # With corners aligned, a grid of 4 x 4 destination pixels is the control points.
    moved = each.grid(theta, (4, 4), True).view(-1, 2)
    torch.testing.assert_close(moved, points + theta.view(2, 16).T)


def test_a_regularised_spline_bends_less_and_keeps_affine_maps():
    exact, smooth = warp("tps"), warp("tps", "warp.regularisation=0.1")
    theta = near_identity(exact, num=1)

    def roughness(each):
        grid = each.grid(theta, (28, 28), True)[0]
        return grid.diff(n=2, dim=0).square().mean() + grid.diff(n=2, dim=1).square().mean()

    assert roughness(smooth) < 0.9 * roughness(exact)
    tilted = at(smooth, *smooth.start([0.9, 0.1, 0.2, -0.1, 1.1, 0.0]))
    torch.testing.assert_close(smooth.grid(tilted, (9, 9), True), exact.grid(tilted, (9, 9), True))


@pytest.mark.parametrize("dataset", ["rot90", "two-channel", "same-image"])
@pytest.mark.parametrize("name", IMAGE_WARPS)
def test_every_model_takes_every_warp(dataset, name):
    models = ["stn"] if dataset == "rot90" else ["stn", "multi-stn"]
    for model in models:
        config = compose([f"dataset={dataset}", f"model={model}", f"warp={name}"])
        network, spec = build_network(config), config.dataset.spec()
        images = torch.rand(3, spec.channels, *spec.size)
        logits, theta = network.predict(images)
        assert theta.shape == (3, 1 if model == "stn" else 2, len(config.warp.identity))
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
        grad = network.transformer.localization.theta.bias.grad
        assert grad.isfinite().all()
        assert grad.abs().max() > 0
        if not (dataset == "same-image" and model == "multi-stn"):
            views = network.transformer(images).views
            torch.testing.assert_close(views.flatten(1, 2), images, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["affine", "projective", "tps"])
def test_a_left_right_start_in_every_family_that_can(name):
    config = compose(["dataset=same-image", "model=multi-stn", "init=left-right", f"warp={name}"])
    images = torch.rand(2, 1, 28, 56)
    affine = compose(["dataset=same-image", "model=multi-stn", "init=left-right"])
    found, expected = (build_network(each).transformer(images).views for each in (config, affine))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["warp=time-affine"], r"warp=time-affine does not go with dataset=rot90: it warps time"),
        (
            ["dataset=mimic", "warp=tps"],
            r"warp=tps does not go with dataset=mimic: it warps images.* Use warp=time-affine",
        ),
        (["warp=tps", "warp.points=1"], r"warp\.points is 1; allowed: 2 to 16"),
        (["warp=tps", "warp.regularisation=-1"], r"warp\.regularisation is -1\.0; allowed: 0 or"),
        (
            ["dataset=same-image", "model=multi-stn", "init=left-right", "warp=rotation"],
            r"init=left-right does not go with warp=rotation, which cannot do the map",
        ),
        (["warp=splines"], r"no conf/warp/splines\.yaml.* Allowed: affine, .*tps"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        compose(overrides)


def test_a_cell_names_its_warp_unless_it_is_the_affine_one():
    assert cell(compose([])) == "stn-identity-zeros"
    assert cell(compose(["warp=tps"])) == "stn-tps-identity-zeros"
    assert cell(compose(["warp=tps", "model=cnn"])) == "cnn"

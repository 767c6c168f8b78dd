"""Random distortions, and their agreement with PIL and scipy on real digits."""

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates
from torch.nn.functional import pad

from stnlab.config import compose
from stnlab.data import mnist
from stnlab.data.image_batches import Examples, ImageBatches
from stnlab.data.randomness import Stream, generator
from stnlab.distortions import Backend, Similarity, distort, distort_pil
from stnlab.distortions.canvas import Canvas
from stnlab.distortions.elastic import Elastic
from stnlab.distortions.projective import Projective
from stnlab.errors import UserError
from stnlab.geometry.projective import CORNERS, has_picture, projective_grid, theta_of_corners

SIZE = (28, 28)
PROJECTIVE, ELASTIC = Projective(0.75, 1.0, corner_sd=5), Elastic(0.75, 1.0, point_sd=1.5)
RTS, CLUTTER = Canvas(0.7, 1.2, rotation=45), Canvas(crops=6)


@pytest.fixture(scope="module")
def digits():
    return mnist.load().train_images[:1000, None]


def drawn(distortion, num, size=SIZE, key=1):
    return distortion.draw(num, size, generator(Stream.distortion, key))


def on_canvas(digits, canvas):
    return pad(digits, [(canvas - 28) // 2] * 4)


@pytest.mark.parametrize(
    "amounts", [Similarity(rotation=90), Similarity(45, 0.1, 0.3), Similarity(180, 0.3, 0.5)]
)
def test_tensor_warp_agrees_with_pil(digits, amounts):
    """PIL keeps whole grey levels and rounds them down; nothing else differs.

    A point that falls within rounding of the image's edge may read the border on one side and 0 on
    the other: a few in a million.
    """
    thetas = amounts.draw(len(digits), SIZE, generator(Stream.distortion, 1))
    difference = distort(digits, thetas) - distort_pil(digits, thetas)
    within_a_level = (difference > -0.01) & (difference < 1.01)
    assert (~within_a_level).float().mean() < 5e-6
    assert difference.abs().mean() < 0.25


def test_no_distortion_is_the_identity(digits):
    thetas = Similarity().draw(10, SIZE, generator(Stream.distortion, 1))
    torch.testing.assert_close(distort(digits[:10], thetas), digits[:10].float(), atol=0.01, rtol=0)
    assert torch.equal(distort_pil(digits[:10], thetas), digits[:10].float())
    assert Similarity().is_none


def test_draws_fill_their_ranges():
    thetas = Similarity(45, 0.1, 0.3).draw(20_000, SIZE, generator(Stream.distortion, 5))
    scale = thetas[:, 0, :2].norm(dim=1).reciprocal()
    angle = torch.rad2deg(torch.atan2(thetas[:, 1, 0], thetas[:, 0, 0]))
    for values, low, high in ((scale, 0.7, 1.3), (angle, -45, 45)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high >= values.max() > high - 0.01 * (high - low)
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))


def test_amounts_are_compared_on_the_same_draws():
    small, large = (
        Similarity(rotation=amount).draw(50, SIZE, generator(Stream.distortion, 2))
        for amount in (10, 20)
    )
    angles = [torch.atan2(thetas[:, 1, 0], thetas[:, 0, 0]) for thetas in (small, large)]
    torch.testing.assert_close(2 * angles[0], angles[1])


# --- projective


def test_corners_go_where_they_are_told():
    rng = generator(Stream.distortion, 4)
    corners = torch.tensor(CORNERS) + 0.3 * torch.randn(50, 4, 2, generator=rng)
    theta = theta_of_corners(corners[has_picture(corners)]).double()
    matrix = torch.cat([theta, torch.ones_like(theta[:, :1])], dim=1).view(-1, 3, 3)
    points = torch.cat([corners, torch.ones(50, 4, 1)], dim=2)[has_picture(corners)].double()
    source = points @ matrix.mT
    found = source[..., :2] / source[..., 2:]
    torch.testing.assert_close(
        found, torch.tensor(CORNERS).expand_as(found).double(), atol=1e-5, rtol=0
    )
    assert (source[..., 2] > 0).all()


def test_corners_at_rest_are_the_identity_and_half_of_them_a_scale():
    corners = torch.tensor(CORNERS)[None]
    identity = torch.tensor([[1.0, 0, 0, 0, 1, 0, 0, 0]])
    torch.testing.assert_close(theta_of_corners(corners), identity)
    doubled = torch.tensor([[2.0, 0, 0, 0, 2, 0, 0, 0]])
    torch.testing.assert_close(theta_of_corners(corners / 2), doubled)


@pytest.mark.parametrize(
    "corners",
    [
        [(-1, -1), (1, -1), (-0.1, -0.1), (-1, 1)],  # one within the others' triangle
        [(-1, -1), (1, -1), (-1, 1), (1, 1)],  # two exchanged
        [(1, -1), (-1, -1), (-1, 1), (1, 1)],  # mirrored
        [(0, 0), (0, 0), (0, 0), (0, 0)],
        [(-1, -1), (1, -1), (0, 0), (-1, 1)],  # three on a line
    ],
)
def test_corners_without_a_picture(corners):
    assert has_picture(torch.tensor([corners, CORNERS]).float()).tolist() == [False, True]


def test_corners_that_have_no_picture_are_drawn_again():
    thetas = drawn(Projective(corner_sd=10), 5000)
    grid = projective_grid(thetas, SIZE, align_corners=False)
    assert grid.isfinite().all()
    assert thetas.isfinite().all()


def test_moved_corners_are_normal_with_the_deviation_in_pixels():
    thetas = drawn(Projective(corner_sd=1), 4000).double()
    matrix = torch.cat([thetas, torch.ones_like(thetas[:, :1])], dim=1).view(-1, 3, 3)
    corners = torch.tensor([(*corner, 1) for corner in CORNERS]).double()
    found = torch.linalg.solve(matrix, corners.T.expand(4000, 3, 4)).mT
    moved = 14 * (found[..., :2] / found[..., 2:] - corners[:, :2])
    assert moved.mean().item() == pytest.approx(0, abs=0.03)
    assert moved.std(dim=0).tolist() == pytest.approx(np.ones((4, 2)), abs=0.05)


def test_a_projective_distortion_agrees_with_pil(digits):
    """Points at the image's very edge may fall to either side of it."""
    thetas = drawn(PROJECTIVE, len(digits))
    pil = Projective(backend=Backend.pil).apply(digits, thetas)
    difference = PROJECTIVE.apply(digits, thetas) - pil
    within_a_level = (difference > -0.05) & (difference < 1.05)
    assert (~within_a_level).float().mean() < 5e-6
    assert difference.abs().mean() < 0.25


# --- elastic


def test_an_elastic_distortion_agrees_with_scipy(digits):
    """Its spline is scipy's, and so is its reading of the image at the spline's points."""
    few = digits[:20]
    moved = drawn(ELASTIC, len(few))
    steps = np.linspace(-1, 1, 4)
    controls = np.array([(x, y) for y in steps for x in steps])
    centres = (np.arange(28) + 0.5) / 14 - 1
    points = np.array([(x, y) for y in centres for x in centres])
    for image, displacement, found in zip(
        few[:, 0], moved, ELASTIC.apply(few, moved)[:, 0], strict=True
    ):
        spline = RBFInterpolator(
            controls, controls + displacement.T.double().numpy(), kernel="thin_plate_spline"
        )
        x, y = spline(points).T
        rows, columns = ((14 * (value + 1) - 0.5).reshape(28, 28) for value in (y, x))
        expected = map_coordinates(image.double().numpy(), [rows, columns], order=1, mode="nearest")
        edge = np.maximum(abs(x), abs(y)).reshape(28, 28)
        expected[edge >= 1] = 0
        is_clear = abs(edge - 1) > 1e-4
        assert abs(found.numpy() - expected)[is_clear].max() < 0.05


def test_a_spline_at_rest_only_scales(digits):
    scaled = Elastic(0.5, 0.5)
    thetas = torch.tensor([[[2.0, 0, 0], [0, 2, 0]]]).expand(10, -1, -1)
    found = scaled.apply(digits[:10], drawn(scaled, 10))
    torch.testing.assert_close(found, distort(digits[:10], thetas), atol=0.05, rtol=0)


def test_displacements_have_the_deviation_in_pixels():
    moved = 14 * drawn(Elastic(point_sd=1.5), 4000)
    assert moved.mean().item() == pytest.approx(0, abs=0.02)
    assert moved.std(dim=0).numpy() == pytest.approx(np.full((2, 16), 1.5), abs=0.08)


# --- on a canvas


def test_a_digit_is_placed_pixel_by_pixel(digits):
    """At a scale of 1 nothing is interpolated, nothing lost, and all places are as likely."""
    placed = Canvas()
    canvases = on_canvas(digits, 60)
    thetas = drawn(placed, len(digits), (60, 60))
    shift = (-30 * thetas.view(-1, 2, 3)[:, :, 2]).round().int()
    found = placed.apply(canvases, thetas)
    for image, (x, y), canvas in zip(canvases[:50, 0], shift.tolist(), found[:, 0], strict=False):
        expected = torch.roll(image, (y, x), dims=(0, 1)).float()
        torch.testing.assert_close(canvas, expected, atol=0.02, rtol=0)
    torch.testing.assert_close(
        found.sum((1, 2, 3)), digits.float().sum((1, 2, 3)), rtol=1e-4, atol=0
    )
    many = (-30 * drawn(placed, 40_000, (60, 60)).view(-1, 2, 3)[:, :, 2]).round()
    values, counts = many.unique(return_counts=True)
    assert values.tolist() == list(range(-16, 17))
    assert counts.min() > 0.9 * 80_000 / 33
    assert counts.max() < 1.1 * 80_000 / 33


def test_a_scaled_square_is_wholly_on_the_canvas():
    """And comes to its edges: the room is what its own scale leaves."""
    thetas = drawn(RTS, 20_000, (42, 42)).view(-1, 2, 3).double()
    inverse = torch.linalg.inv(
        torch.cat([thetas, torch.tensor([0.0, 0, 1]).expand(len(thetas), 1, 3)], dim=1)
    )
    scale = inverse[:, :, 0].norm(dim=1)
    assert scale.min().item() == pytest.approx(0.7, abs=0.01)
    assert scale.max().item() == pytest.approx(1.2, abs=0.01)
    furthest = 21 * inverse[:, :2, 2].abs() + 14 * scale[:, None]
    assert furthest.max() <= 21 + 1e-4
    assert furthest.max() > 20.9
    angle = torch.rad2deg(torch.atan2(thetas[:, 1, 0], thetas[:, 0, 0]))
    assert angle.abs().max().item() == pytest.approx(45, abs=0.1)


def test_a_canvas_agrees_with_pil(digits):
    canvases = on_canvas(digits, 42)
    thetas = drawn(RTS, len(digits), (42, 42))
    difference = RTS.apply(canvases, thetas) - Canvas(backend=Backend.pil).apply(canvases, thetas)
    within_a_level = (difference > -0.01) & (difference < 1.01)
    assert (~within_a_level).float().mean() < 5e-6


def test_clutter_is_crops_of_other_digits_of_the_same_part(digits):
    """By the drawn numbers, one crop after the other, in numpy."""
    members = torch.arange(500, 540)[:, None]
    part = Examples(on_canvas(digits, 60), members, torch.zeros(40, dtype=torch.long))
    numbers = drawn(CLUTTER, 40, (60, 60))
    images = part.images[members[:, 0]]
    found = CLUTTER.apply_among(images, numbers, part)
    placed = CLUTTER.apply(images, numbers).numpy()
    for own, canvas in enumerate(placed[:, 0]):
        for crop in numbers[own, 6:].reshape(6, 5).int().tolist():
            other, top, left, row, column = crop
            assert other != own
            assert 16 <= min(top, left) <= max(top, left) <= 44 - 6
            source = digits[members[other, 0], 0].numpy()
            canvas[row : row + 6, column : column + 6] += source[
                top - 16 : top - 10, left - 16 : left - 10
            ]
        np.testing.assert_allclose(found[own, 0], canvas.clip(0, 255), atol=0.01)
    assert found.max() <= 255


def test_crops_come_from_everywhere_and_go_everywhere():
    crops = drawn(CLUTTER, 5000, (60, 60))[:, 6:].reshape(-1, 5)
    assert crops.amin(dim=0).tolist() == [0, 16, 16, 0, 0]
    assert crops.amax(dim=0).tolist() == [4999, 38, 38, 54, 54]


def test_one_image_alone_is_its_own_clutter():
    assert drawn(CLUTTER, 1, (60, 60))[0, 6::5].tolist() == [0] * 6


# --- of all


SIZES = [(PROJECTIVE, 28), (ELASTIC, 28), (RTS, 42), (CLUTTER, 60)]


@pytest.mark.parametrize(("distortion", "side"), SIZES, ids=lambda value: type(value).__name__)
def test_a_batch_follows_from_the_key_alone(digits, distortion, side):
    """Whatever the order, the batch and the chunk; anew at every epoch."""
    part = Examples.of(on_canvas(digits[:40], side), torch.arange(40))
    spec = compose(["dataset=jaderberg-tc", f"dataset.canvas={side}"]).dataset.spec()

    def by_target(epoch=0, at_once=1, **changes):
        settings = {"batch_size": 8, "order_key": (0,)} | changes
        batches = ImageBatches(
            part,
            spec,
            mean=(0.5,),
            std=(0.25,),
            distortion=distortion,
            distortion_key=(3,),
            **settings,
        )
        batches.epoch, batches.batches_a_chunk = epoch, at_once
        found = {}
        for pixels, targets in batches:
            found |= dict(zip(targets.tolist(), pixels, strict=True))
        return torch.stack([found[target] for target in range(40)])

    one, other = by_target(), by_target(at_once=3, batch_size=7, order_key=(9,))
    assert one.shape == (40, 1, side, side)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert torch.equal(one, by_target())
    later = by_target(epoch=1)
    assert all(not torch.equal(*pair) for pair in zip(one, later, strict=True))
    assert one.min() >= -2 - 1e-5  # black
    assert one.max() <= 2 + 1e-5  # white


@pytest.mark.parametrize("distortion", [PROJECTIVE, ELASTIC, RTS, CLUTTER])
def test_an_image_takes_few_numbers(distortion):
    """All images of an epoch draw theirs at once: 4 bytes a number, 55,000 images."""
    assert drawn(distortion, 2, (60, 60)).flatten(1).shape[1] <= 36


MISTAKES = [
    (["distortion=projective", "distortion.corner_sd=-1"], r"corner_sd is -1\.0; allowed: 0 to 14"),
    (
        ["distortion=elastic", "distortion.point_sd=nan"],
        r"point_sd is nan; allowed: 0 to 14 pixels",
    ),
    (["distortion=elastic", "distortion.points=1"], r"points is 1; allowed: 2 to 16"),
    (
        ["distortion=elastic", "distortion.backend=pil"],
        r"backend=pil does not go with an elastic .*spl",
    ),
    (
        ["distortion=projective", "distortion.min_scale=2"],
        r"min_scale.* is '2 to 1'; .*smaller first",
    ),
    (
        ["distortion=canvas", "distortion.min_scale=0"],
        r"min_scale.* is '0 to 1\.2'; allowed: a range",
    ),
    (
        ["distortion=canvas", "distortion.side=29"],
        r"distortion\.side is 29; allowed: 1 to 28 pixels",
    ),
    (["distortion=canvas", "distortion.rotation=200"], r"rotation is 200\.0; allowed: 0 to 180"),
    (["distortion=clutter", "distortion.crops=-1"], r"crops is -1; allowed: 0 to 1000"),
    (
        ["distortion=clutter", "distortion.crop_side=30"],
        r"crop_side is 30; allowed: 1 to 28 pixels",
    ),
    (["dataset=mimic", "distortion=canvas"], r"does not go with dataset=mimic: only images"),
    (
        ["dataset=jaderberg-tc", "dataset.canvas=59"],
        r"dataset\.canvas is 59; allowed: an even number",
    ),
    (
        ["dataset=jaderberg-tc", "dataset.canvas=26"],
        r"dataset\.canvas is 26; allowed: .* 28 to 128",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), MISTAKES, ids=lambda value: str(value)[-40:])
def test_a_mistake_gets_one_message(overrides, message):
    with pytest.raises(UserError, match=message):
        compose(overrides)

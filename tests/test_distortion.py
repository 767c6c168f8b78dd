"""Random distortions, and their agreement with PIL on real digits."""

import pytest
import torch

from stnlab.data import mnist
from stnlab.data.randomness import Stream, generator
from stnlab.distortions import Similarity, distort, distort_pil

SIZE = (28, 28)


@pytest.fixture(scope="module")
def digits():
    return mnist.load().train_images[:1000, None]


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

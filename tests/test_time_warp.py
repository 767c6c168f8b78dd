"""The warp of time: against NumPy's interpolation, and where its gradient matters."""

import numpy as np
import pytest
import torch

from stnlab.geometry.time import moments, read_at, share_of_moments_outside

HOURS = 48


def series(num=3, channels=2, dtype=torch.float64):
    return torch.randn(
        num, channels, HOURS, dtype=dtype, generator=torch.Generator().manual_seed(0)
    )


def warp_time(x, theta22, theta23, padding, align_corners):
    return read_at(x, moments(theta22, theta23, x.shape[2], align_corners), padding)


def of(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize(
    ("theta22", "theta23"), [(1.0, 0.0), (0.5, 0.0), (-1.0, 0.0), (1.7, 0.3), (0.3, -1.4), (0, 9)]
)
def test_it_reads_what_numpy_interpolates(theta22, theta23, padding, align_corners):
    x = series()
    found = warp_time(x, of(*[theta22] * 3), of(*[theta23] * 3), padding, align_corners)
    (at,) = moments(of(theta22), of(theta23), HOURS, align_corners).numpy()
    hours = np.arange(HOURS)
    for one, read in zip(x.flatten(0, 1), found.flatten(0, 1), strict=True):
        if padding == "border":
            expected = np.interp(at, hours, one)
        else:  # a zero an hour before and after
            expected = np.interp(at, np.arange(-1, HOURS + 1), np.pad(one.numpy(), 1), 0, 0)
        np.testing.assert_allclose(read, expected, atol=1e-12)


def test_the_convention_in_normalised_time():
    """-1 and 1 are the first and last hour with align_corners, half an hour further without."""
    assert moments(of(1.0), of(1.0), 5, True).tolist() == [[2.0, 3.0, 4.0, 5.0, 6.0]]
    assert moments(of(1.0), of(1.0), 5, False).tolist() == [[2.5, 3.5, 4.5, 5.5, 6.5]]
    assert moments(of(0.5), of(0.0), 5, True).tolist() == [[1.0, 1.5, 2.0, 2.5, 3.0]]


def test_the_identity_is_exact_in_single_precision():
    x = series(dtype=torch.float32)
    one, none = torch.ones(3), torch.zeros(3)
    assert torch.equal(warp_time(x, one, none, "border", True), x)


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_the_gradient_is_right_between_the_hours(padding):
    x = series().requires_grad_()
    theta = [of(0.731, -1.377, 0.419).requires_grad_(), of(0.123, 0.05, 0.31).requires_grad_()]
    assert torch.autograd.gradcheck(lambda *a: warp_time(*a, padding, True), (x, *theta))


def test_the_gradient_at_the_identity_is_that_of_the_hour_that_begins():
    """A transformer starts there: without it, it would never move."""
    x = torch.arange(HOURS, dtype=torch.float64).square()[None, None]
    phase = of(0.0).requires_grad_()
    warp_time(x, of(1.0), phase, "border", True)[0, 0, 10].backward()
    half = (HOURS - 1) / 2
    assert phase.grad.item() == pytest.approx(half * (11**2 - 10**2))


def test_at_the_border_nothing_pulls():
    x = series()
    phase = of(0.0).requires_grad_()
    warp_time(x[:1], of(1.0), phase, "border", True)[0, 0, -1].backward()
    assert phase.grad.item() == 0


def test_far_outside_reads_the_padding_and_nan_stays_nan():
    x = series(1)
    assert warp_time(x, of(1e30), of(0.0), "zeros", True).abs().max() == 0
    far = warp_time(x, of(0.0), of(1e30), "border", True)
    assert torch.equal(far, x[..., -1:].expand_as(x))
    assert warp_time(x, of(float("nan")), of(0.0), "border", True).isnan().all()


def test_share_outside():
    at = moments(of(1.0, 0.5, 1.0, float("nan")), of(0, 0, 1, 0), HOURS, True)
    found = share_of_moments_outside(at)
    assert found.tolist() == pytest.approx([0, 0, 0.5, 1])

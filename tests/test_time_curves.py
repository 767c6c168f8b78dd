"""Warps that bend time: against numerical integration, and by what makes them warps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from stnlab.config import compose
from stnlab.errors import UserError
from stnlab.geometry import cpab, monotone
from stnlab.geometry.time import inverted, moments, own_time, read_at, tempo_and_phase
from stnlab.warps.cpab import CpabWarp
from stnlab.warps.monotone import MonotoneWarp
from stnlab.warps.time_affine import TimeAffineWarp

CURVES = {
    "monotone": MonotoneWarp(),
    "few knots": MonotoneWarp(num_knots=4),
    "cpab": CpabWarp(),
    "two cells": CpabWarp(num_cells=2),
    "free ends": CpabWarp(num_cells=7, fixed_ends=False),
}
FIXED = [name for name in CURVES if name != "free ends"]
STEPS = 48


def thetas(warp, num, scale=1.0, dtype=torch.float64, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(num, len(warp.identity), generator=rng, dtype=dtype)


def at_identity(warp, num=1, dtype=torch.float64):
    return torch.tensor(warp.identity, dtype=dtype).expand(num, -1).clone()


# --- against plain references


def integrated(velocities, at):
    knots = np.linspace(0, 1, len(velocities))
    found = solve_ivp(
        lambda _, x: np.interp(x, knots, velocities), (0, 1), at, rtol=1e-11, atol=1e-13
    )
    return found.y[:, -1]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 5e-5)])
@pytest.mark.parametrize("scale", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("num_cells", [2, 5, 16])
@pytest.mark.parametrize("fixed_ends", [True, False])
def test_a_flow_is_what_its_velocity_integrates_to(num_cells, fixed_ends, scale, dtype, tolerance):
    warp = CpabWarp(num_cells=num_cells, fixed_ends=fixed_ends)
    theta = thetas(warp, 2, scale, dtype)
    at = torch.linspace(0, 1, 33, dtype=dtype)
    found = at + warp.displacement(theta, at)
    for velocities, each in zip(warp._velocities(theta).double().numpy(), found, strict=True):
        expected = integrated(velocities, at.double().numpy())
        np.testing.assert_allclose(each.numpy(), expected, atol=tolerance)


def test_a_velocity_with_zeros_that_no_point_comes_past():
    velocities = torch.tensor([[0.0, 3.0, 0.0, -3.0, 0.0, 2.0, 2.0, 2.0, 0.0]]).double()
    at = torch.linspace(0, 1, 41, dtype=torch.float64)
    found = at + cpab.displacement(velocities, at)
    np.testing.assert_allclose(found[0], integrated(velocities[0].numpy(), at), atol=1e-6)
    assert (found[0, at < 0.5] < 0.5).all()


def test_a_constant_velocity_is_a_shift_and_a_linear_one_a_change_of_tempo():
    at = torch.linspace(0, 1, 5, dtype=torch.float64)
    velocities = torch.full((1, 9), 0.25, dtype=torch.float64)
    torch.testing.assert_close(cpab.displacement(velocities, at), torch.full((1, 5), 0.25).double())
    away = 0.1 * (at - 0.5)[None]
    expected = (np.exp(0.1) - 1) * (at - 0.5)[None]
    found = cpab.displacement(away, at)
    torch.testing.assert_close(found[:, 1:-1], expected[:, 1:-1])  # the ends are left


def test_increments_are_read_one_after_the_other():
    warp = MonotoneWarp(num_knots=5)
    theta = torch.tensor([[1.0, 2.0, 1.0, 4.0]]).log().double()
    even, own = monotone.DEALT_EVENLY, 1 - monotone.DEALT_EVENLY
    increments = own * np.array([1, 2, 1, 4]) / 8 + even / 4
    knots = np.concatenate([[0], increments.cumsum()])
    at = torch.linspace(0, 1, 21, dtype=torch.float64)
    found = at + warp.displacement(theta, at)
    np.testing.assert_allclose(found[0], np.interp(at, np.linspace(0, 1, 5), knots), atol=1e-12)


# --- the identity


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("num_steps", [5, 24, 48, 140])
@pytest.mark.parametrize("name", CURVES)
def test_the_identity_is_exact_in_single_precision(name, num_steps, align_corners):
    warp = CURVES[name]
    found = warp.moments(at_identity(warp, dtype=torch.float32), num_steps, align_corners)
    assert found.tolist() == [list(range(num_steps))]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CURVES)
def test_the_gradient_at_the_identity_is_finite_and_of_every_parameter(name, dtype):
    warp = CURVES[name]
    theta = at_identity(warp, dtype=dtype).requires_grad_()
    found = warp.moments(theta, STEPS, True)
    (found * torch.arange(STEPS)).sum().backward()
    assert theta.grad.isfinite().all()
    assert (theta.grad.abs() > 1e-3).sum() >= len(warp.identity) - 1
    if name != "monotone":
        assert theta.grad.abs().min() > 1e-3


def test_a_velocity_at_the_identity_moves_the_steps_around_its_knot():
    warp = CpabWarp(num_cells=4)
    theta = at_identity(warp).requires_grad_()
    warp.moments(theta, 9, True)[0, 4].backward()
    assert theta.grad.tolist() == [[0.0, 8.0, 0.0]]


@pytest.mark.parametrize("scale", [0.0, 1e-9, 0.3, 1.5])
@pytest.mark.parametrize("name", CURVES)
def test_the_derivative(name, scale):
    warp = CURVES[name]
    theta = thetas(warp, 3, scale).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: warp.moments(t, 23, True), theta)
    if scale > 0.1 or isinstance(warp, CpabWarp):  # the inverse has a kink at a knot
        assert torch.autograd.gradcheck(lambda t: warp.inverse_moments(t, 23, True), theta)


# --- what makes it a warp


def any_theta(warp):
    number = st.floats(-200, 200, width=32)
    num = len(warp.identity)
    return st.lists(number, min_size=num, max_size=num).map(torch.tensor)


@pytest.mark.parametrize("name", CURVES)
def test_time_never_runs_backward(name):
    warp = CURVES[name]

    @settings(deadline=None, max_examples=60)
    @given(any_theta(warp))
    def holds(theta):
        theta = theta[None].double().requires_grad_()
        at = warp.moments(theta, STEPS, True)
        assert at.isfinite().all()
        assert (at.diff(dim=1) >= -1e-9).all()
        if name in FIXED:
            assert at[0, 0] == 0
            assert at[0, -1].item() == pytest.approx(STEPS - 1, abs=1e-9)
        if name in ("monotone", "few knots"):
            assert (at.diff(dim=1) > 0.9 * monotone.DEALT_EVENLY).all()
        at.sum().backward()
        assert theta.grad.isfinite().all()

    holds()


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("name", CURVES)
def test_the_inverse_undoes_the_warp(name, align_corners):
    """Told at points, where neither is a grid's: back(there(t)) is t."""
    warp = CURVES[name]
    theta = thetas(warp, 5, 0.4)
    at = torch.linspace(0, 1, 37, dtype=torch.float64)
    there = at + warp.displacement(theta, at)
    back = there + warp.inverse_displacement(theta, there)
    stays = (there >= 0) & (there <= 1)
    torch.testing.assert_close(back[stays], at.expand(5, -1)[stays], atol=1e-6, rtol=0)
    theta = 0.05 * theta
    again = warp.inverse_moments(theta, STEPS, align_corners)
    by_interpolation = inverted(warp.moments(theta, STEPS, align_corners))
    shown = by_interpolation.isfinite()
    assert shown.float().mean() > 0.7
    # Between two steps a line takes the place of the curve.
    torch.testing.assert_close(again[shown], by_interpolation[shown], atol=0.35, rtol=0)


def test_the_way_back_of_an_affine_warp():
    warp = TimeAffineWarp()
    theta = torch.tensor([[0.5, 0.1], [-2.0, 0.3]]).double()
    at = warp.moments(theta, STEPS, True)
    back = warp.inverse_moments(theta, STEPS, True)
    ends = torch.arange(STEPS).double()
    for there, here in zip(at, back, strict=True):
        order = there.argsort()
        found = np.interp(there.sort().values, ends, here)
        inside = (there.sort().values > 0) & (there.sort().values < STEPS - 1)
        np.testing.assert_allclose(found[inside], order[inside].double(), atol=1e-9)


def test_moments_that_are_not_shown_have_no_way_back():
    at = torch.tensor([[1.0, 1.5, 2.0, 2.0]])
    found = inverted(at)
    assert found.isnan().tolist() == [[True, False, False, True]]
    assert found[0, 1:3].tolist() == [0.0, 2.0]


def test_the_nearest_affine_warp_of_an_affine_warp_is_itself():
    theta22, theta23 = torch.tensor([0.7, 1.2, -0.5]).double(), torch.tensor([0.2, 0, 1.1]).double()
    found = tempo_and_phase(moments(theta22, theta23, STEPS, True))
    torch.testing.assert_close(found, (theta22, theta23))


def test_a_warp_that_stays_and_hurries_reads_the_whole_series():
    """As a network on PhysioNet 2012 learned: five moments, and nothing between; no collapse."""
    warp = CpabWarp()
    theta = 3.0 * torch.tensor([[1.0, 0, -1] * 5])
    read = warp.moments(theta, 48, True)[0]
    assert (read.diff() < 0.05).sum() > 24  # stays, most of the time
    assert warp.tempo(theta, 48).item() == pytest.approx(1, abs=1e-5)
    assert MonotoneWarp().tempo(torch.zeros(1, 16), 48).item() == pytest.approx(1, abs=1e-5)
    still = TimeAffineWarp().tempo(torch.tensor([[0.001, 0.0]]), 48)
    assert still.item() == pytest.approx(0.001)


# --- roughness


def test_roughness_is_what_it_says():
    theta = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, -0.5, -1.0]])
    # Second differences -2 and 1; and none where the logarithms fall evenly.
    assert MonotoneWarp(num_knots=5).roughness_of(theta).item() == pytest.approx(5 / 4)
    # Slopes of the velocity in three cells: 0.1, 0.1 and -0.2 by a third.
    theta = torch.tensor([[0.1, 0.2]])
    found = CpabWarp(num_cells=3).roughness_of(theta).item()
    assert found == pytest.approx(9 * (0.01 + 0.01 + 0.04) / 3)


@pytest.mark.parametrize("kind", [MonotoneWarp, CpabWarp])
def test_the_penalty_is_nothing_unless_asked_for(kind):
    theta = thetas(kind(), 3)
    assert kind().penalty(theta) is None
    once, twice = (kind(roughness=weight).penalty(theta) for weight in (0.5, 1.0))
    assert once.item() == pytest.approx(twice.item() / 2)
    assert once.item() > 0


# --- series of unequal length


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("name", [*CURVES, "time-affine"])
def test_a_series_has_its_own_time(name, align_corners):
    """What a warp does to a short series does not depend on how wide its batch is."""
    warp = CURVES.get(name, TimeAffineWarp())
    theta = thetas(warp, 3, 0.3)
    lengths = torch.tensor([30, 48, 7])
    for say in (warp.moments, warp.inverse_moments):
        together = say(theta, STEPS, align_corners, lengths)
        for own, length, each in zip(theta, lengths.tolist(), together, strict=True):
            alone = say(own[None], length, align_corners)
            torch.testing.assert_close(each[None, :length], alone, atol=1e-9, rtol=0)


@pytest.mark.parametrize("padding", ["border", "zeros"])
def test_what_is_past_the_end_is_not_read(padding):
    rng = torch.Generator().manual_seed(0)
    series = torch.randn(2, 3, 12, generator=rng, dtype=torch.float64)
    lengths = torch.tensor([12, 8])
    at = torch.linspace(-2, 13, 12, dtype=torch.float64).expand(2, -1)
    found = read_at(series, at, padding, lengths)
    for each, own, read in zip(series, lengths, found, strict=True):
        alone = read_at(each[None, :, :own], at[:1, :own], padding)
        torch.testing.assert_close(read[None, :, :own], alone)


def test_a_series_of_one_step_has_a_time():
    at, whole = own_time(4, True, torch.tensor([1, 4]), torch.zeros(1))
    assert at.tolist() == [[0.0, 1.0, 1.0, 1.0], pytest.approx([0, 1 / 3, 2 / 3, 1])]
    assert whole.tolist() == [[1.0], [3.0]]


# --- what is refused


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["warp=monotone", "warp.num_knots=3"], r"warp\.num_knots is 3; allowed: 4 to 48, a knot"),
        (["warp=monotone", "warp.num_knots=49"], r"warp\.num_knots is 49; allowed: 4 to 48"),
        (["warp=cpab", "warp.num_cells=1"], r"warp\.num_cells is 1; allowed: 2 to 47, a cell"),
        (["warp=cpab", "warp.num_cells=48"], r"warp\.num_cells is 48; allowed: 2 to 47"),
        (["warp=cpab", "warp.roughness=-1"], r"warp\.roughness is -1\.0; allowed: 0 or more"),
        (
            ["warp=cpab", "init.theta=[[1.0,0.0,0.0,0.0,1.5,0.0]]"],
            r"init=identity does not go with .* allowed: one row \[1, 0, 0, 0, 1, 0\]",
        ),
        (["warp=monotone", "init=left-right"], r"init=left-right does not go with model=ts-stn"),
    ],
)
def test_what_makes_no_sense_is_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        compose(["dataset=physionet2012", *overrides])


@pytest.mark.parametrize("warp", ["monotone", "cpab"])
def test_a_warp_of_time_does_not_go_with_images(warp):
    with pytest.raises(UserError, match=rf"warp={warp} does not go with dataset=rot90"):
        compose([f"warp={warp}"])

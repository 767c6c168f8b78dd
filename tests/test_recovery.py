"""What a warp takes back of a distortion, by cases with a known answer."""

import math

import numpy as np
import pytest
import torch
from short_run import DRAWN

from stnlab.distortions import Similarity
from stnlab.distortions.canvas import Canvas
from stnlab.evaluation import recovery
from stnlab.evaluation.recovery import Motion, Moved, applied, curve, summary, taken_back
from stnlab.folder import RunFolder
from stnlab.geometry.affine import similarity_theta
from stnlab.layers.network import build_network
from stnlab.run.images import ImageExperiment
from stnlab.task import Predictions

DIGITS = np.arange(1000) % 10
ALL_RIGHT = np.ones(1000, bool)


def drawn(seed=0, num=1000, **amounts):
    """The affine maps of a distortion, in pixels of 28 x 28."""
    distortion = Similarity(**amounts)
    rng = torch.Generator().manual_seed(seed)
    return distortion.affine(distortion.draw(num, (28, 28), rng).double(), (28, 28))


def inverse(affine):
    linear = torch.linalg.inv(affine[:, :, :2])
    return torch.cat([linear, -linear @ affine[:, :, 2:]], dim=2)


def turned(degrees):
    """A motion of rotation alone."""
    angle = torch.as_tensor(degrees, dtype=torch.float64)
    return Motion(angle, *torch.zeros(3, len(angle)))


def within(before, after):
    """``recovered`` of rotations, with the same ones within the range of training and beyond."""
    moved = Moved(turned(before), turned(after), DIGITS[: len(before)], ALL_RIGHT[: len(before)])
    return summary(moved, {"rotation": moved}, str)["rotation"]["within"]


def test_what_a_distortion_does_is_read_off_its_map():
    angle, scale = torch.tensor([30.0, -170.0, 90.0]), torch.tensor([1.25, 0.8, 1.0])
    shift = torch.tensor([[0.1, -0.2], [0.0, 0.25], [-0.3, 0.0]])
    for height, width in ((28, 28), (28, 56)):
        theta = similarity_theta(angle, shift, scale, aspect=width / height)
        found = applied(Similarity().affine(theta, (height, width)))
        torch.testing.assert_close(found.rotation, angle, atol=1e-4, rtol=0)
        torch.testing.assert_close(found.scale.exp(), scale)
        shifts = torch.stack([found.shift_x, found.shift_y], dim=1)
        torch.testing.assert_close(shifts, shift * width, atol=1e-4, rtol=0)
        # What is placed among crops has their numbers behind theta.
        placed = torch.cat([theta.flatten(1), torch.ones(len(theta), 10)], dim=1)
        on_canvas = applied(Canvas(crops=2).affine(placed, (height, width)))
        assert all(torch.equal(*pair) for pair in zip(on_canvas, found, strict=True))


def test_the_inverse_takes_all_back():
    affine = drawn(rotation=180, translation=0.2, scale=0.3)
    sheared = affine @ torch.tensor([[1.0, 0.3, 0], [-0.1, 0.9, 0], [0, 0, 1]]).double()
    for each in (affine, sheared):
        for one, other in zip(applied(each), taken_back(inverse(each)), strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("reach", [45, 90, 180])
def test_of_everything_nothing_is_left(reach):
    trained = drawn(rotation=reach, translation=0.1, scale=0.3)
    alone = {
        factor: drawn(1, **{factor: amount})
        for factor, amount in (("rotation", 180), ("translation", 0.3), ("scale", 0.5))
    }
    moved = {
        key: Moved(applied(each), taken_back(inverse(each)), DIGITS, ALL_RIGHT)
        for key, each in {"": trained, **alone}.items()
    }
    found = summary(moved.pop(""), moved, str)
    assert list(found) == ["rotation", "shift_x", "shift_y", "scale"]
    for kind, each in found.items():
        for part in ("within", "beyond"):
            if each[part] is None or each[part]["n"] < 5:  # beyond 180 degrees there is nothing
                assert (kind, part, reach) == ("rotation", "beyond", 180)
                continue
            assert each[part]["r"] == each[part]["slope"] == 1
            assert each[part]["left"] == each[part]["left_by_class"] == 0
    assert found["shift_x"]["trained"] == pytest.approx([-2.8, 2.8], abs=0.05)
    assert found["rotation"]["trained"] == pytest.approx([-reach, reach], abs=0.5)
    assert found["rotation"]["within"]["before"] == pytest.approx(reach / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("reach", [45, 90, 180])
def test_of_a_warp_that_does_nothing_all_is_left(reach):
    angle = np.linspace(-reach, reach, 1000)
    found = within(angle, np.zeros(1000))
    assert (found["r"], found["slope"]) == (None, 0)
    assert found["left"] == pytest.approx(found["before"])


def test_a_class_may_stand_as_it_likes():
    angle = np.random.default_rng(0).uniform(-90, 90, 1000)
    offset = np.array([0, 170, -170, 30, 0, 0, -90, 0, 0, 180])[DIGITS]
    taken = (angle + offset + 180) % 360 - 180
    found = within(angle, taken)
    assert found["left"] > 50
    assert found["left_by_class"] == pytest.approx(0)
    for each in found["by_class"].values():
        assert (each["r"], each["slope"], each["left"]) == pytest.approx((1, 1, 0))
        assert each["n"] == 100


def test_angles_go_around():
    """What is left is 179 or -179 degrees: two degrees from each other, not 358."""
    angle = np.array([-10.0, 10, -20, 20])
    found = within(angle, np.array([169.0, -169, 159, -159]))
    assert found["left"] == pytest.approx(1)
    assert found["slope"] == pytest.approx(1, abs=0.1)
    assert curve(np.array([5.0, 6, 7]), np.array([179.0, -179, -178]), 20) == {10.0: -179.0}


def test_to_turn_to_the_nearer_of_up_and_down_is_to_fold_back():
    angle = np.concatenate([np.linspace(-180, -91, 500), np.linspace(91, 180, 500)])
    nearest = np.where(angle > 0, 180 - angle, -180 - angle)
    found = within(angle, nearest)
    assert (found["r"], found["slope"]) == pytest.approx((-1, -1), abs=1e-3)


def test_a_warp_that_has_died_is_measured_all_the_same():
    point = torch.zeros(1000, 2, 3, dtype=torch.float64)
    mirrored = torch.tensor([[-1.0, 0, 0], [0, 1, 0]]).double().expand(1000, 2, 3)
    for dead in (point, mirrored):
        motion = taken_back(dead)
        assert all(torch.isfinite(each).all() for each in motion)
        moved = Moved(applied(drawn(rotation=90)), motion, DIGITS, ALL_RIGHT)
        found = summary(moved, {"rotation": moved}, str)["rotation"]
        assert (found["within"]["r"], found["beyond"]) == (None, None)
    motion = turned([float("nan")] * 1000)
    assert recovery.between("rotation", applied(drawn(rotation=90)), motion) is None


@pytest.mark.parametrize("align_corners", [True, False])
def test_a_network_that_undoes_a_run_s_own_distortion(short, tmp_path, align_corners):
    """Its views are the digits as they were: so the directions are those of the sampler, too."""
    config = short("dataset=RTS", DRAWN, f"model.align_corners={str(align_corners).lower()}")
    experiment = ImageExperiment(config, RunFolder(tmp_path / "run"))
    network = build_network(config)
    before = next(iter(experiment._test(Similarity())))[0]
    inputs = next(iter(experiment._test(config.distortion)))[0]

    def exact(distortion):
        """The thetas that undo the draws of a distortion."""
        affine = inverse(experiment._applied(experiment._test(distortion)).double())
        affine[:, :, 2] /= (28 - align_corners) / 2  # pixels, of a normalised unit
        return affine.reshape(-1, 1, 6).float()

    theta = exact(config.distortion)[: len(inputs)]
    views = network.transformer._views(inputs, theta)[:, 0]
    inner = slice(6, 22)  # what the distortion leaves inside
    both = torch.stack([each[:, 0, inner, inner].flatten() for each in (views, before)])
    assert torch.corrcoef(both)[0, 1] > 0.9

    def predictions(distortion):
        logits = torch.nn.functional.one_hot(experiment.parts.test.targets, 10).float()
        return Predictions(logits, experiment.parts.test.targets, exact(distortion))

    alone = {
        (factor, amount): predictions(experiment._alone(factor, amount))
        for factor, amount in (("rotation", 180), ("translation", 0.3), ("scale", 0.5))
    }
    found = experiment._recovered(network, predictions(config.distortion), alone)["recovered"]
    for kind, each in found.items():
        assert each["within"]["slope"] == pytest.approx(1, abs=1e-3), kind
        assert each["within"]["left"] == pytest.approx(0, abs=0.01)
        assert each["beyond"]["slope"] == pytest.approx(1, abs=1e-3)
        assert each["beyond"]["left"] == pytest.approx(0, abs=0.01)
    assert (tmp_path / "run" / "figures" / "rotation-recovered.png").exists()

"""The collapse sentinel: what it calls dead, and what it leaves alone."""

import pytest
import torch

from stnlab.evaluation.collapse import collapse_reason, views
from stnlab.warps.affine import AffineWarp

TARGETS = torch.arange(10).repeat(10)
LEARNED = {"n": 100, "loss": 0.1, "accuracy": 0.95}


def theta(scale, shift=0.0):
    return torch.tensor([scale, 0, shift, 0, scale, 0]).expand(100, 1, 6)


def reason(each, scores=LEARNED, image_size=(28, 28)):
    seen = views(AffineWarp(), each, image_size, (28, 28), align_corners=True)
    return collapse_reason(scores, TARGETS, seen)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, -1.0])
def test_a_transformer_at_work_is_left_alone(scale):
    assert reason(theta(scale)) is None


def test_a_network_without_a_transformer_is_judged_by_its_accuracy():
    assert collapse_reason(LEARNED, TARGETS, []) is None
    near_chance = {**LEARNED, "accuracy": 0.12}
    assert "12.0%, near the 10.0%" in collapse_reason(near_chance, TARGETS, [])


@pytest.mark.parametrize(
    ("each", "words"),
    [
        (theta(1.0, shift=5.0), "100% of view 0's grid is off the image"),
        (theta(0.05), "view 0 reads a spot: its pixels stand for 0.0025 pixels"),
        (theta(1e-3), "view 0 reads a spot: its pixels stand for less than 0.0001 pixels"),
        (theta(80.0), "view 0 shrinks the image: its pixels stand for 6,400 pixels each"),
        (theta(3.0), "view 0 shrinks the image: its pixels stand for 9 pixels each"),
        (theta(float("nan")), "stand for nan pixels each"),
    ],
)
def test_a_dead_transformer_is_named(each, words):
    assert words in reason(each)


def test_a_view_of_half_the_pixels_counts_in_pixels_of_the_image():
    """A crop of 28x28 that shows the whole of 28x56 reads two pixels for each of its own."""
    (seen,) = views(AffineWarp(), theta(1.0), (28, 56), (28, 28), align_corners=True)
    assert seen.area == pytest.approx(2)
    assert seen.share_outside == 0


@pytest.mark.parametrize("num_of_the_first", [88, 93, 97, 100])
def test_a_network_that_names_all_classes_has_learned_however_frequent_one_is(num_of_the_first):
    targets = (torch.arange(100) >= num_of_the_first).long()
    majority = num_of_the_first / 100
    assert collapse_reason({"n": 100, "loss": 0.1, "accuracy": 1.0}, targets, []) is None
    if num_of_the_first < 100:
        guess = {"n": 100, "loss": 0.1, "accuracy": majority}
        assert f"near the {majority:.1%}" in collapse_reason(guess, targets, [])

"""The collapse sentinel: has a run's transformer died, or has it learned nothing?"""

from typing import NamedTuple

import torch
from torch import Tensor

from stnlab.evaluation.scores import Scores
from stnlab.parts import ImageWarp

# In accuracy above the majority class, and in AUROC above a coin: far below any network that has
# learned, and on some thousands of examples far above noise.
CHANCE_MARGIN = 0.05
MAX_SHARE_OUTSIDE = 0.95
# In pixels of the image per pixel of the view. Below the first a view shows a spot of a tenth of
# its width, enlarged. Above the second the sampling points lie more than two pixels apart, so that
# the bilinear sampler, which reads two by two pixels around each, passes over parts of the image.
MIN_AREA = 0.01
MAX_AREA = 4.0
# The same along one axis.
MIN_TEMPO, MAX_TEMPO = MIN_AREA**0.5, MAX_AREA**0.5


class View(NamedTuple):
    """What a transformer does to a test set, in one of its views.

    ``share_outside`` is the mean share of the sampling grid that lies off the image, in [0, 1];
    ``area`` the median area of the image, in pixels, that a pixel of the view stands for.
    """

    share_outside: float
    area: float


def views(
    warp: ImageWarp,
    theta: Tensor,
    image_size: tuple[int, int],
    view_size: tuple[int, int],
    align_corners: bool,
) -> list[View]:
    """Sum up the thetas of a test set, a :class:`View` for each of the transformer's.

    Args:
        warp: the family that the thetas are of.
        theta: (N, V, parameters).
        image_size: (height, width) of an image, in pixels.
        view_size: (height, width) of a view, in pixels.
        align_corners: as the transformer has it.
    """
    return [
        View(
            warp.share_outside(each, view_size, align_corners).mean().item(),
            warp.area(each, image_size, view_size).median().item(),
        )
        for each in theta.unbind(dim=1)
    ]


def _near_majority(test: Scores, targets: Tensor, what: str) -> list[str]:
    """What to say of an accuracy that naming one class would reach.

    Where that is above 90%, the margin is half of what is left to 100%.
    """
    majority = torch.bincount(targets).max().item() / len(targets)
    if test["accuracy"] >= majority + min(CHANCE_MARGIN, (1 - majority) / 2):
        return []
    return [
        f"accuracy on {what} is {test['accuracy']:.1%}, near the {majority:.1%} of always naming "
        "the most frequent class"
    ]


def collapse_reason(
    clean: Scores, targets: Tensor, seen: list[View], examples: str = "digits"
) -> str | None:
    """Why a network trained on images counts as collapsed, or None.

    Args:
        clean: scores on the undistorted test set.
        targets: (N,) of that test set.
        seen: the transformer's views of that test set; empty for a network without one.
        examples: what the images are called.
    """
    reasons = _near_majority(clean, targets, f"clean test {examples}")
    for number, view in enumerate(seen):
        if view.share_outside > MAX_SHARE_OUTSIDE:
            reasons.append(f"{view.share_outside:.0%} of view {number}'s grid is off the image")
        if view.area < MIN_AREA:
            reasons.append(
                f"view {number} reads a spot: its pixels stand for {_amount(view.area)} pixels of "
                "the image each"
            )
        if not view.area <= MAX_AREA:
            reasons.append(
                f"view {number} shrinks the image: its pixels stand for {_amount(view.area)} "
                "pixels each, more than the sampler reads"
            )
    return "; ".join(reasons) or None


class TimeView(NamedTuple):
    """What a transformer over time does to a test set.

    ``share_outside`` is the mean share of the steps that are read outside of the series, in
    [0, 1]; ``tempo`` the steps of the series per step of the view, |theta22| of a warp that does
    not bend time, as the median over warps and series.
    """

    share_outside: float
    tempo: float


def time_collapse_reason(
    test: Scores, targets: Tensor, view: TimeView | None, unit: str = "hours"
) -> str | None:
    """Why a network on series counts as collapsed, or None.

    ``view`` is None without a transformer; ``unit`` is what the steps are.
    """
    one, many = ("an hour", "hours") if unit == "hours" else ("a step", "steps")
    reasons = _near_majority(test, targets, "the test set") if "accuracy" in test else []
    if test.get("auroc", 1.0) < 0.5 + CHANCE_MARGIN:
        reasons.append(f"AUROC on the test set is {test['auroc']:.3f}, near the 0.5 of a coin")
    if view is not None:
        if view.share_outside > MAX_SHARE_OUTSIDE:
            reasons.append(f"{view.share_outside:.0%} of the {many} are read outside of the series")
        if view.tempo < MIN_TEMPO:
            reasons.append(
                f"the warp reads one moment: {one} of its view stands for {_amount(view.tempo)} "
                f"{many}"
            )
        if not view.tempo <= MAX_TEMPO:
            reasons.append(
                f"the warp contracts time: {one} of its view stands for {_amount(view.tempo)} "
                f"{many}, more than the sampler reads"
            )
    return "; ".join(reasons) or None


def _amount(value: float) -> str:
    """Two digits that count, and no exponents."""
    small = f"{value:.2g}"
    return f"{value:,.0f}" if value >= 10 else "less than 0.0001" if "e" in small else small

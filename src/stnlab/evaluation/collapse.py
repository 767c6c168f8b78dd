"""The collapse sentinel: has a run's transformer died, or has it learned nothing?"""

import torch
from torch import Tensor

from stnlab.evaluation.scores import Scores
from stnlab.warp.affine import determinant, share_outside

# In accuracy above the majority class: far above noise (n is 10,000 or more), far below any network
# that has learned.
CHANCE_MARGIN = 0.05
MAX_SHARE_OUTSIDE = 0.95
MIN_DETERMINANT = 0.01  # a crop of a tenth of the image's width has this area


def collapse_reason(
    clean: Scores,
    targets: Tensor,
    theta: Tensor | None,
    view_size: tuple[int, int],
    align_corners: bool,
) -> str | None:
    """Why a trained network counts as collapsed, or None.

    Args:
        clean: scores on the undistorted test set.
        targets: (N,) of that test set.
        theta: (N, V, 2, 3) of that test set; None for a network without a transformer.
        view_size: (height, width) of a view, in pixels.
        align_corners: as the transformer has it.
    """
    reasons = []
    majority = torch.bincount(targets).max().item() / len(targets)
    if clean["accuracy"] < majority + CHANCE_MARGIN:
        reasons.append(
            f"accuracy on clean test digits is {clean['accuracy']:.1%}, near the "
            f"{majority:.1%} of always naming the most frequent class"
        )
    if theta is not None:
        for view in range(theta.shape[1]):
            outside = share_outside(theta[:, view], view_size, align_corners).mean().item()
            if outside > MAX_SHARE_OUTSIDE:
                reasons.append(f"{outside:.0%} of view {view}'s sampling grid is off the image")
            area = determinant(theta[:, view]).abs().median().item()
            if area < MIN_DETERMINANT:
                reasons.append(f"view {view} reads a spot: its median |det theta| is {area:.2g}")
    return "; ".join(reasons) or None

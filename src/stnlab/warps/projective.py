"""The projective warp of images: a plane seen from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.parts import ImageWarp, add_warp

if TYPE_CHECKING:
    from torch import Tensor


@add_warp("projective")
@dataclass
class Projective(ImageWarp):
    """A homography: eight numbers, the ninth is 1.

    Convention: (x, y) of the destination is read at (theta1 · p / theta3 · p, theta2 · p /
    theta3 · p) with p = (x, y, 1), in normalised coordinates as :mod:`stnlab.geometry.affine` has
    them. What lies on or behind the horizon, where theta3 · p is not positive, is read far outside.

    Source: Jaderberg et al. (2015), section 3.2 and appendix A.
    """

    parameter_names = (
        *("theta11", "theta12", "theta13"),
        *("theta21", "theta22", "theta23"),
        *("theta31", "theta32"),
    )
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    matrix_in_javascript = (
        ("theta[0]", "theta[1]", "theta[2]"),
        ("theta[3]", "theta[4]", "theta[5]"),
        ("theta[6]", "theta[7]", "1"),
    )

    name: str = "projective"

    def start(self, affine: Sequence[float]) -> tuple[float, ...]:
        return (*affine, 0.0, 0.0)

    def grid(self, theta: "Tensor", size: tuple[int, int], align_corners: bool) -> "Tensor":
        from stnlab.geometry.projective import projective_grid

        return projective_grid(theta, size, align_corners)

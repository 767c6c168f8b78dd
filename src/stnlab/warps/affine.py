"""The affine warp of images, and what its subfamilies need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from stnlab.parts import ImageWarp, add_warp

if TYPE_CHECKING:
    from torch import Tensor

DETERMINANT = "determinant"


@dataclass
class AffineFamily(ImageWarp):
    """Warps that are affine maps: a subfamily says :meth:`to_affine`.

    Convention: :mod:`stnlab.geometry.affine`.
    """

    def to_affine(self, theta: "Tensor") -> "Tensor":
        """(N, parameters) to (N, 2, 3), destination to source."""
        raise NotImplementedError(f"{type(self).__name__}.to_affine")

    def grid(self, theta: "Tensor", size: tuple[int, int], align_corners: bool) -> "Tensor":
        from stnlab.geometry.affine import affine_grid

        return affine_grid(self.to_affine(theta), size, align_corners)

    def area(
        self, theta: "Tensor", image_size: tuple[int, int], view_size: tuple[int, int]
    ) -> "Tensor":
        from stnlab.geometry.affine import determinant

        (height, width), (view_height, view_width) = image_size, view_size
        pixels = height * width / (view_height * view_width)
        return pixels * determinant(self.to_affine(theta)).abs()

    def share_outside(
        self, theta: "Tensor", size: tuple[int, int], align_corners: bool
    ) -> "Tensor":
        from stnlab.geometry.affine import share_outside

        return share_outside(self.to_affine(theta), size, align_corners)


@add_warp("affine")
@dataclass
class AffineWarp(AffineFamily):
    """All affine maps: two rows of three.

    Source: Jaderberg et al. (2015), section 3.2, equation 1.
    """

    parameter_names: ClassVar[tuple[str, ...]] = (
        *("theta11", "theta12", "theta13"),
        *("theta21", "theta22", "theta23"),
    )
    identity: ClassVar[tuple[float, ...]] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    name: str = "affine"

    def start(self, affine: Sequence[float]) -> tuple[float, ...]:
        return tuple(affine)

    def to_affine(self, theta: "Tensor") -> "Tensor":
        return theta.view(-1, 2, 3)

    def describe(self, theta: "Tensor") -> "dict[str, Tensor]":
        from stnlab.geometry.affine import determinant

        return {**super().describe(theta), DETERMINANT: determinant(self.to_affine(theta))}

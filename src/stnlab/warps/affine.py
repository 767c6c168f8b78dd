"""The affine warp of images, and the families within it."""

import math
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

    # Whether to_affine is meant in units that are the same on both axes, half a width: so that a
    # rotation turns what is in an image that is not square. Else each axis has units of its own.
    same_units: ClassVar[bool] = True

    def to_affine(self, theta: "Tensor") -> "Tensor":
        """(N, parameters) to (N, 2, 3), destination to source."""
        raise NotImplementedError(f"{type(self).__name__}.to_affine")

    def _normalised(self, theta: "Tensor", size: tuple[int, int]) -> "Tensor":
        """:meth:`to_affine` in normalised coordinates of an image of (height, width)."""
        affine, (height, width) = self.to_affine(theta), size
        if not self.same_units or height == width:
            return affine
        aspect = width / height
        return affine * affine.new_tensor([[1, 1 / aspect, 1], [aspect, 1, aspect]])

    def grid(self, theta: "Tensor", size: tuple[int, int], align_corners: bool) -> "Tensor":
        from stnlab.geometry.affine import affine_grid

        return affine_grid(self._normalised(theta, size), size, align_corners)

    def local_affine(self, theta: "Tensor", size: tuple[int, int]) -> "Tensor":
        return self._normalised(theta, size)

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

        return share_outside(self._normalised(theta, size), size, align_corners)


@add_warp("affine")
@dataclass
class AffineWarp(AffineFamily):
    """All affine maps: two rows of three, in normalised coordinates.

    Source: Jaderberg et al. (2015), section 3.2, equation 1.
    """

    same_units: ClassVar[bool] = False
    parameter_names = ("theta11", "theta12", "theta13", "theta21", "theta22", "theta23")
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    name: str = "affine"

    def start(self, affine: Sequence[float]) -> tuple[float, ...]:
        return tuple(affine)

    def to_affine(self, theta: "Tensor") -> "Tensor":
        return theta.view(-1, 2, 3)

    def describe(self, theta: "Tensor") -> "dict[str, Tensor]":
        from stnlab.geometry.affine import determinant

        return {**super().describe(theta), DETERMINANT: determinant(self.to_affine(theta))}


@add_warp("translation")
@dataclass
class Translation(AffineFamily):
    """Shifts alone, in normalised units of each axis: a view of the same size elsewhere."""

    same_units: ClassVar[bool] = False
    parameter_names = ("shift_x", "shift_y")
    identity = (0.0, 0.0)

    name: str = "translation"

    def start(self, affine: Sequence[float]) -> tuple[float, ...] | None:
        t11, t12, shift_x, t21, t22, shift_y = affine
        return (shift_x, shift_y) if (t11, t12, t21, t22) == (1, 0, 0, 1) else None

    def to_affine(self, theta: "Tensor") -> "Tensor":
        shift_x, shift_y = theta.unbind(1)
        one, zero = shift_x.new_ones(shift_x.shape), shift_x.new_zeros(shift_x.shape)
        return _rows((one, zero, shift_x), (zero, one, shift_y))


@add_warp("scale-translation")
@dataclass
class ScaleTranslation(AffineFamily):
    """One scale and two shifts: attention to a part of the image.

    A scale below 1 zooms in. Source: Jaderberg et al. (2015), section 3.2, equation 2.
    """

    same_units: ClassVar[bool] = False
    parameter_names = ("scale", "shift_x", "shift_y")
    identity = (1.0, 0.0, 0.0)

    name: str = "scale-translation"

    def start(self, affine: Sequence[float]) -> tuple[float, ...] | None:
        t11, t12, shift_x, t21, t22, shift_y = affine
        return (t11, shift_x, shift_y) if (t12, t21) == (0, 0) and t11 == t22 else None

    def to_affine(self, theta: "Tensor") -> "Tensor":
        scale, shift_x, shift_y = theta.unbind(1)
        zero = scale.new_zeros(scale.shape)
        return _rows((scale, zero, shift_x), (zero, scale, shift_y))


@add_warp("rotation")
@dataclass
class Rotation(AffineFamily):
    """Rotation about the centre alone, by an angle in radians.

    A positive angle turns what is shown counter-clockwise as seen on the screen: the view shows the
    image turned that way, as :func:`stnlab.geometry.affine.similarity_theta` does.
    """

    parameter_names = ("angle",)
    identity = (0.0,)
    matrix_in_javascript = (
        ("Math.cos(theta[0])", "-Math.sin(theta[0]) / aspect", "0"),
        ("Math.sin(theta[0]) * aspect", "Math.cos(theta[0])", "0"),
        ("0", "0", "1"),
    )

    name: str = "rotation"

    def start(self, affine: Sequence[float]) -> tuple[float, ...] | None:
        t11, t12, shift_x, t21, t22, shift_y = affine
        is_rotation = (shift_x, shift_y) == (0, 0) and t11 == t22 and t12 == -t21
        if not is_rotation or not math.isclose(math.hypot(t11, t21), 1, abs_tol=1e-6):
            return None
        return (math.atan2(t21, t11),)

    def to_affine(self, theta: "Tensor") -> "Tensor":
        (angle,) = theta.unbind(1)
        cos, sin, zero = angle.cos(), angle.sin(), angle.new_zeros(angle.shape)
        return _rows((cos, -sin, zero), (sin, cos, zero))

    def describe(self, theta: "Tensor") -> "dict[str, Tensor]":
        return {"angle in degrees": theta[:, 0].rad2deg()}


@add_warp("similarity")
@dataclass
class Similarity(AffineFamily):
    """Rotation, one scale and two shifts: [[c, -s, x], [s, c, y]].

    c and s are the scale times the cosine and the sine of the angle, so that no angle is far from
    another; x and y are in halves of the width.
    """

    parameter_names = ("scaled_cos", "scaled_sin", "shift_x", "shift_y")
    identity = (1.0, 0.0, 0.0, 0.0)

    name: str = "similarity"

    def start(self, affine: Sequence[float]) -> tuple[float, ...] | None:
        t11, t12, shift_x, t21, t22, shift_y = affine
        return (t11, t21, shift_x, shift_y) if t11 == t22 and t12 == -t21 else None

    def to_affine(self, theta: "Tensor") -> "Tensor":
        cos, sin, shift_x, shift_y = theta.unbind(1)
        return _rows((cos, -sin, shift_x), (sin, cos, shift_y))

    def describe(self, theta: "Tensor") -> "dict[str, Tensor]":
        import torch

        cos, sin, shift_x, shift_y = theta.unbind(1)
        return {
            "scale": torch.hypot(cos, sin),
            "angle in degrees": torch.atan2(sin, cos).rad2deg(),
            "shift_x": shift_x,
            "shift_y": shift_y,
        }


def _rows(*rows: "tuple[Tensor, Tensor, Tensor]") -> "Tensor":
    """Two rows of three entries (N,) each to (N, 2, 3)."""
    import torch

    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)

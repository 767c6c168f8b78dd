"""Does the warp undo the distortion? What was applied to images, against what was taken back.

Convention: affine maps (N, 2, 3) lead from destination to source, as those of
:mod:`stnlab.geometry.affine`, but in pixels from the centre of either. A distortion's leads from
the distorted image to the original, a warp's from its view to the distorted image. So the
distortion is undone where the warp's map is the inverse of the distortion's.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

UNITS = {"rotation": "degrees", "shift_x": "pixels", "shift_y": "pixels", "scale": "log factor"}
# What a distortion's factor (evaluation.robustness) is seen in.
_KINDS = {"rotation": ("rotation",), "translation": ("shift_x", "shift_y"), "scale": ("scale",)}
_PERIODS = {"rotation": 360.0}
_FEWEST = 3  # images of which a correlation says anything
_NOTHING = 1e-6  # a range below it is rounding
_LEAST_AREA = 1e-12  # of a warp that has collapsed to a point, so that it has a logarithm


class Motion(NamedTuple):
    """How the content of N images was moved, (N,) each.

    ``rotation`` is in degrees, counter-clockwise as seen on the screen; ``shift_x`` and ``shift_y``
    are where the image's centre went, in pixels right and down; ``scale`` is the natural logarithm
    of the factor by which it was enlarged.
    """

    rotation: "Tensor"
    shift_x: "Tensor"
    shift_y: "Tensor"
    scale: "Tensor"


def applied(affine: "Tensor") -> Motion:
    """What a distortion's map has done, rotation by polar decomposition of its linear part."""
    import torch

    linear, offset = affine[:, :, :2], affine[:, :, 2:]
    shift = -torch.linalg.solve(linear, offset)[:, :, 0]
    return Motion(_rotation(linear), shift[:, 0], shift[:, 1], -_scale(linear))


def taken_back(affine: "Tensor") -> Motion:
    """What a warp's map takes back: what :func:`applied` would say of its inverse, if it has one.

    The rotation of a mirror image is that of the nearest map that is none.
    """
    linear = affine[:, :, :2]
    return Motion(-_rotation(linear), affine[:, 0, 2], affine[:, 1, 2], _scale(linear))


def _rotation(linear: "Tensor") -> "Tensor":
    """Degrees of the rotation that is nearest to (N, 2, 2)."""
    import torch

    sin = linear[:, 1, 0] - linear[:, 0, 1]
    cos = linear[:, 0, 0] + linear[:, 1, 1]
    return torch.atan2(sin, cos).rad2deg()


def _scale(linear: "Tensor") -> "Tensor":
    """Half the logarithm of the area that (N, 2, 2) makes of 1."""
    import torch

    area: Tensor = torch.linalg.det(linear).abs().clamp(min=_LEAST_AREA)
    return area.log() / 2


class Moved(NamedTuple):
    """N images of one object each: what was applied and taken back, and what came of it.

    ``targets`` (N,) are the classes, ``is_right`` (N,) whether they were predicted.
    """

    applied: Motion
    taken_back: Motion
    targets: NDArray[np.int64]
    is_right: NDArray[np.bool_]

    def of(self, kind: str) -> tuple[Floats, Floats]:
        """One kind of the motions, (N,) applied and taken back."""
        return _numbers(self.applied, kind), _numbers(self.taken_back, kind)


def _numbers(motion: Motion, kind: str) -> Floats:
    found: Floats = getattr(motion, kind).double().cpu().numpy()
    return found


class Recovery(NamedTuple):
    """How well one kind of motion was taken back, over ``n`` images.

    ``r`` is Pearson's, ``slope`` that of the regression of what was taken back on what was applied;
    both are 1 where all is taken back, and None where nothing varies. ``before`` is the standard
    deviation of what was applied, ``left`` that of the part which was not taken back, both about
    their means: what all images are moved by costs a classifier nothing.
    """

    n: int
    r: float | None
    slope: float | None
    before: float
    left: float


def recovery(kind: str, applied: Floats, taken_back: Floats) -> Recovery:
    """Compare (N,) with (N,) of one kind of motion, N at least 1.

    Means of angles are circular ones, and a deviation from one is the short way around. The angles
    taken back are cut open opposite to their own mean, or where those applied are if what is left
    lies closer about its mean: so neither a network that turns nothing is torn apart, nor one that
    turns everything, and all by 170 degrees too far.
    """
    period = _PERIODS.get(kind, math.inf)
    left = applied - taken_back
    x_mean, y_mean, left_mean = (_mean(each, period) for each in (applied, taken_back, left))
    x = _short_way(applied - x_mean, period)
    y = _short_way(taken_back - y_mean, period)
    still = _short_way(left - left_mean, period)
    if _spread(still) < _spread(y):
        y = _short_way(taken_back - (x_mean - left_mean), period)
    enough = len(x) >= _FEWEST and np.ptp(x) > _NOTHING
    return Recovery(
        len(x),
        float(np.corrcoef(x, y)[0, 1]) if enough and np.ptp(y) > _NOTHING else None,
        float(np.cov(x, y)[0, 1] / x.var(ddof=1)) if enough else None,
        _spread(x),
        _spread(still),
    )


def between(kind: str, applied: Motion, taken_back: Motion) -> Recovery | None:
    """The recovery of one kind of motion; None where nothing was applied.

    More may have been applied than was taken back, to images that come after those.
    """
    back = _numbers(taken_back, kind)
    return _unless_nothing(kind, _numbers(applied, kind)[: len(back)], back)


def _unless_nothing(kind: str, applied: Floats, taken_back: Floats) -> Recovery | None:
    if len(applied) < _FEWEST or np.ptp(applied) <= _NOTHING or not np.isfinite(taken_back).all():
        return None
    return recovery(kind, applied, taken_back)


def _mean(values: Floats, period: float) -> float:
    if math.isinf(period):
        return float(values.mean())
    turn = 2 * math.pi / period
    return float(np.angle(np.exp(1j * turn * values).mean()) / turn)


def _short_way(values: Floats, period: float) -> Floats:
    """Differences, at most half a period long."""
    if math.isinf(period):
        return values
    return values - period * np.round(values / period)


def _spread(deviations: Floats) -> float:
    """The root of the mean square of deviations from a mean."""
    return float(np.sqrt(np.square(deviations).mean()))


def curve(applied: Floats, taken_back: Floats, width: float) -> dict[float, float]:
    """The middle of each bin of so many degrees applied to the median that was taken back there.

    Both (N,) in degrees; bins without an image are left out.
    """
    number = np.floor(applied / width)
    found = {}
    for each in np.unique(number):
        inside = taken_back[number == each]
        mean = _mean(inside, 360)
        median = mean + np.median(_short_way(inside - mean, 360))
        found[float((each + 0.5) * width)] = float(_short_way(np.asarray(median), 360))
    return found


# --- metrics.json


def summary(
    trained: Moved, alone: Mapping[str, Moved], class_name: Callable[[int], str]
) -> dict[str, Any]:
    """``recovered`` of ``metrics.json``: each kind of motion within and beyond the training range.

    Args:
        trained: images under the training distortion; its range is that of what was applied.
        alone: by factor, images under that factor alone, as of the robustness curves: those whose
            amount lies outside of the range are beyond it.
        class_name: what a class is called.

    Returns:
        By kind of motion ``unit``, ``trained`` (lowest, highest), and ``within`` and ``beyond``,
        None where there is nothing to take back: a :class:`Recovery`, ``left_by_class`` (what is
        left, each class about its own mean, as no class needs to stand as another does) and,
        of rotations, ``by_class``.
    """
    found: dict[str, Any] = {}
    for factor, moved in alone.items():
        for kind in _KINDS[factor]:
            before, after = trained.of(kind)
            low, high = float(before.min()), float(before.max())
            far, back = moved.of(kind)
            beyond = (far < low) | (far > high)
            found[kind] = {
                "unit": UNITS[kind],
                "trained": [_rounded(low), _rounded(high)],
                "within": _compared(kind, before, after, trained.targets, class_name),
                "beyond": _compared(
                    kind, far[beyond], back[beyond], moved.targets[beyond], class_name
                ),
            }
    return found


def _compared(
    kind: str,
    applied: Floats,
    taken_back: Floats,
    targets: NDArray[np.int64],
    class_name: Callable[[int], str],
) -> dict[str, Any] | None:
    whole = _unless_nothing(kind, applied, taken_back)
    if whole is None:
        return None
    of_class = {
        int(each): recovery(kind, applied[targets == each], taken_back[targets == each])
        for each in np.unique(targets)
    }
    squares = sum(each.n * each.left**2 for each in of_class.values())
    found = {**_plain(whole), "left_by_class": _rounded(math.sqrt(squares / whole.n))}
    if kind == "rotation":
        found["by_class"] = {class_name(key): _plain(each) for key, each in of_class.items()}
    return found


def _plain(found: Recovery) -> dict[str, Any]:
    return {key: _rounded(value) for key, value in found._asdict().items()}


def _rounded(value: float | None) -> float | None:
    """Four digits after the point, more than so many images tell."""
    return value if value is None or isinstance(value, int) else round(value, 4) + 0.0  # no -0.0

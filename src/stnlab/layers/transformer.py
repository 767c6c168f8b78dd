"""Spatial transformers: localization network, grid generator and sampler."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stnlab import parts
from stnlab.errors import UserError, did_you_mean
from stnlab.geometry.sampling import PADDING_MODES, sample
from stnlab.geometry.time import read_at, share_of_moments_outside
from stnlab.layers.localization import Localization
from stnlab.parts import ImageWarp, TimeWarp, WarpPart
from stnlab.rules import require, require_blocks, require_count, require_one_of

SHARE_OUTSIDE = "share outside"
_SLOPE_AND_OFFSET = ("slope", "offset")


class Warped(NamedTuple):
    """What a transformer made of a batch.

    ``views`` (N, V, C, height, width) of images or (N, V, C, steps) of series; ``theta``
    (N, V, parameters), in the order of :attr:`Transformer.parameter_names`.
    """

    views: Tensor
    theta: Tensor


class Transformer(nn.Module, ABC):
    """Warps its input by what it predicts from it.

    One of one's own sets :attr:`parameter_names` and says :meth:`forward` and :meth:`describe`.
    """

    parameter_names: tuple[str, ...]  # of theta's last axis

    @abstractmethod
    def forward(self, inputs: Tensor) -> Warped:
        """The views of inputs (N, C, ...), and the thetas that made them."""

    @abstractmethod
    def describe(self, theta: Tensor) -> dict[str, Tensor]:
        """What thetas (N, V, parameters) say, by name: of each view, (N,), or all warps, flat."""

    def named(self, theta: Tensor, view: int = 0) -> dict[str, Tensor]:
        """The parameters of one view by name, (N,) each."""
        return dict(zip(self.parameter_names, theta[:, view].unbind(1), strict=True))

    def penalty(self, theta: Tensor) -> Tensor | None:
        """What training adds to its loss for the thetas of a batch, (); None for nothing."""
        return None


def share_outside(transformer: Transformer, theta: Tensor) -> Tensor | None:
    """Share of all points that thetas (N, V, parameters) read which lie outside of the input.

    A scalar, in [0, 1]; None where a transformer does not say.
    """
    described = transformer.describe(theta.float())
    shares = [each.mean() for name, each in described.items() if name.endswith(SHARE_OUTSIDE)]
    return torch.stack(shares).mean() if shares else None


class SpatialTransformer(Transformer):
    """Warps each image by the thetas that a small network predicts from it.

    Input (N, C, H, W). At first it leaves the images as they are, and learns with the network that
    reads its views:

    >>> import torch
    >>> from stnlab.nn import SpatialTransformer
    >>> transformer = SpatialTransformer((3, 32, 32))
    >>> images = torch.rand(8, 3, 32, 32)
    >>> views, theta = transformer(images)
    >>> views.shape, theta.shape
    (torch.Size([8, 1, 3, 32, 32]), torch.Size([8, 1, 6]))
    >>> torch.allclose(views[:, 0], images, atol=1e-5)
    True
    >>> transformer.named(theta)["theta12"].detach()
    tensor([0., 0., 0., 0., 0., 0., 0., 0.])

    In front of a classifier of one's own, with another warp and two crops of half the size:

    >>> crops = SpatialTransformer((1, 28, 56), view_size=(28, 28), num_views=2, hidden=16)
    >>> classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * 28 * 28, 10))
    >>> classifier(crops(torch.rand(4, 1, 28, 56)).views).shape
    torch.Size([4, 10])

    Outside of an image lies 0, its mean where it was normalised; or black, said in the same units:

    >>> dark = SpatialTransformer((1, 28, 28), padding_mode="black", padding_value=-0.1307 / 0.3081)
    >>> dark(torch.rand(4, 1, 28, 28)).views.shape
    torch.Size([4, 1, 1, 28, 28])

    Convention: :mod:`stnlab.geometry.affine`. Source: Jaderberg et al. (2015).
    """

    padding_value: Tensor | None  # (C, 1, 1)

    def __init__(
        self,
        in_shape: Sequence[int],
        warp: str | ImageWarp = "affine",
        *,
        view_size: tuple[int, int] | None = None,
        num_views: int = 1,
        per_channel: bool = False,
        padding_mode: str = "zeros",
        padding_value: float | Sequence[float] | None = None,
        align_corners: bool = True,
        channels: Sequence[int] = (8, 10),
        kernel_sizes: Sequence[int] = (7, 5),
        hidden: int = 32,
        localization: nn.Module | None = None,
    ) -> None:
        """Build the localization network, with the identity as its start.

        Args:
            in_shape: (C, H, W) of an image.
            warp: a family's name, as of ``conf/warp/``, or one itself.
            view_size: (height, width) of a view in pixels; None for the image's.
            num_views: how many thetas are predicted from an image, each for a view of it.
            per_channel: each channel goes through the localization network on its own and gets its
                own warp; else the network sees all channels, and each theta gives a view of all.
            padding_mode: what lies outside of the image: "zeros", "border" or "black".
            padding_value: with "black" alone, what black is to the network, for all channels or for
                each: (0 - mean) / std of what images are normalised by.
            align_corners: whether -1 and 1 are the centres of the outermost pixels or their edges.
            channels: of each block (convolution, max-pool 2, ReLU) of the localization network.
            kernel_sizes: of each block's convolution.
            hidden: width of the layer after the blocks.
            localization: one's own network instead, from inputs (N, C, H, W), where C is 1 with
                ``per_channel``, to thetas (N, num_views, parameters). It says where it starts.

        Raises:
            UserError: an argument makes no sense, or the blocks leave nothing of the image.
        """
        super().__init__()
        shape = _checked_shape(in_shape, ("channels", "height", "width"))
        require_count("num_views", num_views)
        self.warp = _warp(warp, ImageWarp)
        self.parameter_names = self.warp.parameter_names
        self.localization = localization or _localization(
            (1, *shape[1:]) if per_channel else shape,
            *(channels, kernel_sizes, hidden),
            torch.tensor(self.warp.identity).expand(num_views, -1),
        )
        self.view_size = view_size or (shape[1], shape[2])
        self.per_channel = per_channel
        self.padding_mode = _checked_padding(padding_mode, PADDING_MODES)
        # Of the data and not of what is learned: no part of a checkpoint.
        value = _checked_value(padding_mode, padding_value, shape[0])
        self.register_buffer("padding_value", value, persistent=False)
        self.align_corners = align_corners

    def forward(self, inputs: Tensor) -> Warped:
        num_channels = inputs.shape[1]
        images = inputs.flatten(0, 1)[:, None] if self.per_channel else inputs
        theta: Tensor = self.localization(images)
        views, theta = _at_full_precision(self._views, images, theta)
        if self.per_channel:
            theta = theta.view(-1, num_channels, theta.shape[2])
            views = views.view(-1, num_channels, 1, *self.view_size)
        return Warped(views, theta)

    def _views(self, images: Tensor, theta: Tensor) -> Tensor:
        """(N, C, H, W) and (N, V, parameters) to (N, V, C, height, width).

        The views of an image are read in one go, as one tall image of V times the height.
        """
        num_views = theta.shape[1]
        height, width = self.view_size
        grid = self.warp.grid(theta.flatten(0, 1), self.view_size, self.align_corners)
        tall = sample(
            images,
            grid.reshape(-1, num_views * height, width, 2),
            self.padding_mode,
            self.align_corners,
            self._value_like(images),
        )
        return tall.view(-1, images.shape[1], num_views, height, width).transpose(1, 2)

    def _value_like(self, images: Tensor) -> Tensor | None:
        """What lies outside of images (N, C, H, W), as it broadcasts: each channel's own."""
        value = self.padding_value
        if value is None or not self.per_channel:
            return value
        return value[:, None].repeat(images.shape[0] // len(value), 1, 1, 1)

    def describe(self, theta: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for view, of_view in enumerate(theta.unbind(1)):
            prefix = "theta" if theta.shape[1] == 1 else f"theta of view {view}"
            for name, values in self.warp.describe(of_view).items():
                found[f"{prefix}/{name}"] = values
            outside = self.warp.share_outside(of_view, self.view_size, self.align_corners)
            found[f"{prefix}/{SHARE_OUTSIDE}"] = outside
        return found


class TimeTransformer(Transformer):
    """Warps each series in time, and its values linearly, by what is predicted from it.

    All channels go through one warp, or each through its own, and through one slope and one offset:
    what is read is ``slope * value + offset``. Input (N, C, steps). At first it leaves the series
    as they are:

    >>> import torch
    >>> from stnlab.nn import TimeTransformer
    >>> transformer = TimeTransformer((12, 48))
    >>> series = torch.randn(5, 12, 48)
    >>> views, theta = transformer(series)
    >>> views.shape, transformer.parameter_names
    (torch.Size([5, 1, 12, 48]), ('theta22', 'theta23', 'slope', 'offset'))
    >>> torch.equal(views[:, 0], series)
    True

    A warp that bends time, one for each channel, and the way back:

    >>> bending = TimeTransformer((3, 48), "cpab", per_channel=True, slope_and_offset=False)
    >>> views, theta = bending(torch.randn(2, 3, 48))
    >>> bending.moments(theta).shape, bending.inverse_moments(theta).shape
    (torch.Size([2, 3, 48]), torch.Size([2, 3, 48]))

    Convention: :mod:`stnlab.geometry.time`. Source: SEED section 5.2.2; that all channels share
    them follows from its two extra outputs.
    """

    warp_of_channel: Tensor

    def __init__(
        self,
        in_shape: Sequence[int],
        warp: str | TimeWarp = "time-affine",
        *,
        per_channel: bool | Sequence[str] = False,
        slope_and_offset: bool = True,
        padding_mode: str = "border",
        align_corners: bool = True,
        channels: Sequence[int] = (8, 10),
        kernel_sizes: Sequence[int] = (7, 5),
        hidden: int = 32,
        localization: nn.Module | None = None,
    ) -> None:
        """Build the localization network, with the identity as its start.

        Args:
            in_shape: (C, steps) of a series.
            warp: a family's name, as of ``conf/warp/``, or one itself.
            per_channel: whether each channel has a warp of its own; or what each channel is of, as
                ``["pulse", "flow", "flow"]``: a warp for each name, in their order.
            slope_and_offset: whether values are changed, too, all channels alike.
            padding_mode: what lies before and after the series: "zeros" or "border".
            align_corners: whether -1 and 1 are the first and the last step, or half a step off.
            channels: of each block (convolution, max-pool 2, ReLU) of the localization network.
            kernel_sizes: of each block's convolution.
            hidden: width of the layer after the blocks.
            localization: one's own network instead, from inputs (N, C, steps) to thetas
                (N, 1, parameters), in the order of :attr:`parameter_names`. It says where it
                starts. With lengths it is given these, too.

        Raises:
            UserError: an argument makes no sense, or the blocks leave nothing of the series.
        """
        super().__init__()
        shape = _checked_shape(in_shape, ("channels", "steps"))
        self.warp = _warp(warp, TimeWarp)
        of_channels = _warps_of_channels(per_channel, shape[0])
        self.warp_names = tuple(dict.fromkeys(of_channels))
        self.per_channel = bool(per_channel)
        self.slope_and_offset = slope_and_offset
        names = self.warp.parameter_names
        if self.per_channel:
            names = tuple(f"{name} of {whose}" for whose in self.warp_names for name in names)
        self.parameter_names = (*names, *(_SLOPE_AND_OFFSET if slope_and_offset else ()))
        places = torch.tensor([self.warp_names.index(each) for each in of_channels])
        self.register_buffer("warp_of_channel", places, persistent=False)
        identity = torch.tensor(self.warp.identity).expand(len(self.warp_names), -1)
        self.localization = localization or _localization(
            *(shape, channels, kernel_sizes, hidden), self.start(identity, slope_and_offset)
        )
        self.num_steps = shape[1]
        self.padding_mode = _checked_padding(padding_mode, ("zeros", "border"))
        self.align_corners = align_corners

    @staticmethod
    def start(warps: Tensor, slope_and_offset: bool = True) -> Tensor:
        """A start (1, all parameters) of the warps' (warps, parameters) that leaves the values."""
        rest = warps.new_tensor([1.0, 0.0] if slope_and_offset else [])
        return torch.cat([warps.flatten(), rest])[None]

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Warped:
        """The view of each series, and its theta.

        Args:
            inputs: (N, C, steps); with lengths there may be fewer steps than a series has at most.
            lengths: (N,), the steps that each series has. What stands past them is neither read nor
                in the view, where it is 0. None: all of them.
        """
        if lengths is None:
            theta: Tensor = self.localization(inputs)
        else:
            inputs = F.pad(inputs, (0, self.num_steps - inputs.shape[2]))
            inputs = torch.where(self._lasts(lengths), inputs, 0.0)
            theta = self.localization(inputs, lengths)
        return _at_full_precision(
            lambda inputs, theta: self._views(inputs, theta, lengths), inputs, theta
        )

    def _views(self, inputs: Tensor, theta: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(N, C, steps) and (N, 1, parameters) to (N, 1, C, steps)."""
        read = read_at(inputs, self.moments(theta, lengths), self.padding_mode, lengths)
        if self.slope_and_offset:
            slope, offset = theta[:, 0, -2], theta[:, 0, -1]
            read = slope[:, None, None] * read + offset[:, None, None]
        if lengths is not None:
            read = torch.where(self._lasts(lengths), read, 0.0)
        return read[:, None]

    def _lasts(self, lengths: Tensor) -> Tensor:
        """(N, 1, steps): whether a series still lasts."""
        return torch.arange(self.num_steps, device=lengths.device) < lengths[:, None, None]

    def moments(self, theta: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Where each step of a view is read, in steps of the series.

        (N, 1, steps), or (N, C, steps) where each channel has a warp of its own.
        """
        return self._of_channels(self.warp.moments, theta, lengths)

    def inverse_moments(self, theta: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Where each step of a series is shown, in steps of the view; shapes as :meth:`moments`."""
        return self._of_channels(self.warp.inverse_moments, theta, lengths)

    def _of_channels(
        self, say: Callable[..., Tensor], theta: Tensor, lengths: Tensor | None
    ) -> Tensor:
        num_warps = len(self.warp_names)
        more = {} if lengths is None else {"lengths": lengths.repeat_interleave(num_warps)}
        at = say(self._of_warps(theta), self.num_steps, self.align_corners, **more)
        at = at.view(-1, num_warps, self.num_steps)
        return at[:, self.warp_of_channel] if self.per_channel else at

    def _of_warps(self, theta: Tensor) -> Tensor:
        """(N, 1, parameters) to each warp's own: (N * warps, parameters)."""
        of_warps = theta[:, 0, :-2] if self.slope_and_offset else theta[:, 0]
        return of_warps.reshape(-1, len(self.warp.parameter_names))

    def penalty(self, theta: Tensor) -> Tensor | None:
        return self.warp.penalty(self._of_warps(theta))

    def describe(self, theta: Tensor) -> dict[str, Tensor]:
        return self._described(theta, self._of_warps(theta), "theta/") | {
            f"theta/{SHARE_OUTSIDE}": self.share_outside(theta)
        }

    def summary(self, theta: Tensor, channel: int = 0) -> dict[str, Tensor]:
        """What thetas (N, 1, parameters) do to one channel, by name: (N,) each."""
        place = int(self.warp_of_channel[channel])
        return self._described(theta, self._of_warps(theta)[place :: len(self.warp_names)], "")

    def _described(self, theta: Tensor, of_warps: Tensor, prefix: str) -> dict[str, Tensor]:
        found = {f"{prefix}{name}": each for name, each in self.warp.describe(of_warps).items()}
        if self.slope_and_offset:
            found |= {f"{prefix}slope": theta[:, 0, -2], f"{prefix}offset": theta[:, 0, -1]}
        return found

    def share_outside(self, theta: Tensor) -> Tensor:
        """Share of the steps that each warp reads outside of the series, (N * warps,)."""
        at = self.warp.moments(self._of_warps(theta), self.num_steps, self.align_corners)
        return share_of_moments_outside(at)

    def tempo(self, theta: Tensor) -> Tensor:
        """Steps of the series per step of the view, of each warp: :meth:`TimeWarp.tempo`."""
        return self.warp.tempo(self._of_warps(theta), self.num_steps)


W = TypeVar("W", bound=WarpPart)


def _warp(warp: str | W, kind: type[W]) -> W:
    """A family by its name, or itself."""
    if isinstance(warp, kind):
        return warp
    parts.load_own()
    fitting = {
        name: part
        for name, part in parts.offered("warp").items()
        if issubclass(part, kind) and isinstance(warp, str)
    }
    if not isinstance(warp, str) or warp not in fitting:
        hint = did_you_mean(warp, fitting) if isinstance(warp, str) else ""
        raise UserError(
            f"warp is {warp!r}; allowed: {', '.join(fitting)}, or an instance of {kind.__name__}."
            f"{hint}"
        )
    return fitting[warp](name=warp)


def _warps_of_channels(per_channel: bool | Sequence[str], num_channels: int) -> Sequence[str]:
    """What the warp is called that each channel goes through."""
    if isinstance(per_channel, bool):
        return [f"channel {place}" if per_channel else "" for place in range(num_channels)]
    require(
        len(per_channel) == num_channels,
        "per_channel",
        list(per_channel),
        f"true, false, or a name for each of {num_channels} channels",
    )
    return per_channel


def _localization(
    in_shape: tuple[int, ...],
    channels: Sequence[int],
    kernel_sizes: Sequence[int],
    hidden: int,
    start: Tensor,
) -> Localization:
    """A network that predicts ``start`` (views, parameters) until it learns."""
    require_blocks("channels", channels, "kernel_sizes", kernel_sizes, in_shape[1:])
    require_count("hidden", hidden)
    num_channels, *size = in_shape
    built = Localization(channels, kernel_sizes, hidden, num_channels, tuple(size), *start.shape)
    built.start_at(start)
    return built


def _checked_shape(in_shape: Sequence[int], axes: tuple[str, ...]) -> tuple[int, ...]:
    fits = len(in_shape) == len(axes) and all(each >= 1 for each in in_shape)
    require(fits, "in_shape", tuple(in_shape), f"({', '.join(axes)}), without the batch")
    return tuple(in_shape)


def _checked_padding(padding_mode: str, allowed: Sequence[str]) -> str:
    require_one_of("padding_mode", padding_mode, allowed)
    return padding_mode


def _checked_value(
    padding_mode: str, value: float | Sequence[float] | None, num_channels: int
) -> Tensor | None:
    """(C, 1, 1) with the padding mode that has a value; else None."""
    if padding_mode != "black":
        require(value is None, "padding_value", value, 'None, unless padding_mode is "black"')
        return None
    values = torch.tensor([] if value is None else value, dtype=torch.get_default_dtype()).flatten()
    require(
        len(values) in (1, num_channels) and bool(values.isfinite().all()),
        "padding_value",
        value,
        f"a finite number, or one for each of {num_channels} channels, with padding_mode 'black'",
        "It is (0 - mean) / std of what images are normalised by.",
    )
    return values.expand(num_channels)[:, None, None].clone()


def _at_full_precision(
    views: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, theta: Tensor
) -> Warped:
    """``views`` of inputs and theta, past autocast: half precision is off by parts of a pixel."""
    device = inputs.device.type
    if not torch.is_autocast_enabled(device):
        return Warped(views(inputs, theta), theta)
    with torch.autocast(device, enabled=False):
        theta = theta.float()
        return Warped(views(inputs.float(), theta), theta)

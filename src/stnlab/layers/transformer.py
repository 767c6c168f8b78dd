"""Spatial transformers: localization network, grid generator and sampler."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stnlab.geometry.sampling import sample
from stnlab.geometry.time import read_at, share_of_moments_outside
from stnlab.layers.localization import Localization
from stnlab.parts import ImageWarp, TimeWarp

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
        """What thetas (N, V, parameters) say of each view, by name: (N,) each."""

    def named(self, theta: Tensor, view: int = 0) -> dict[str, Tensor]:
        """The parameters of one view by name, (N,) each."""
        return dict(zip(self.parameter_names, theta[:, view].unbind(1), strict=True))


class SpatialTransformer(Transformer):
    """Warps each image by the thetas predicted from it.

    Input (N, C, H, W). With ``per_channel`` each channel goes through the localization network on
    its own and gets its own warp; else the network sees all channels and each of its thetas gives
    one view of the whole image.
    """

    def __init__(
        self,
        warp: ImageWarp,
        localization: Localization,
        view_size: tuple[int, int],
        per_channel: bool,
        padding_mode: str,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.warp = warp
        self.parameter_names = warp.parameter_names
        self.localization = localization
        self.view_size = view_size
        self.per_channel = per_channel
        self.padding_mode = padding_mode
        self.align_corners = align_corners

    def forward(self, inputs: Tensor) -> Warped:
        num_channels = inputs.shape[1]
        images = inputs.flatten(0, 1)[:, None] if self.per_channel else inputs
        theta: Tensor = self.localization(images)
        views = self._views(images, theta)
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
        )
        return tall.view(-1, images.shape[1], num_views, height, width).transpose(1, 2)

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

    All channels go through one warp, and through one slope and one offset: what is read is
    ``slope * value + offset``. Input (N, C, steps).

    Source: SEED section 5.2.2; that all channels share them follows from its two extra outputs.
    """

    def __init__(
        self,
        warp: TimeWarp,
        localization: Localization,
        num_steps: int,
        padding_mode: str,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.warp = warp
        self.parameter_names = (*warp.parameter_names, *_SLOPE_AND_OFFSET)
        self.localization = localization
        self.num_steps = num_steps
        self.padding_mode = padding_mode
        self.align_corners = align_corners

    @staticmethod
    def start(warp: Tensor) -> Tensor:
        """A warp's start (1, parameters), with the slope and the offset that leave the values."""
        return torch.cat([warp, warp.new_tensor([[1.0, 0.0]])], dim=1)

    def forward(self, inputs: Tensor) -> Warped:
        theta: Tensor = self.localization(inputs)
        of_warp, slope, offset = theta[:, 0, :-2], theta[:, 0, -2], theta[:, 0, -1]
        at = self.warp.moments(of_warp, self.num_steps, self.align_corners)
        read = read_at(inputs, at, self.padding_mode)
        views = slope[:, None, None] * read + offset[:, None, None]
        return Warped(views[:, None], theta)

    def describe(self, theta: Tensor) -> dict[str, Tensor]:
        at = self.warp.moments(theta[:, 0, :-2], self.num_steps, self.align_corners)
        named = {f"theta/{name}": values for name, values in self.named(theta).items()}
        return named | {f"theta/{SHARE_OUTSIDE}": share_of_moments_outside(at)}

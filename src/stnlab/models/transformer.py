"""The spatial transformer: localization network, grid generator and sampler."""

from typing import NamedTuple

from torch import Tensor, nn

from stnlab.models.localization import Localization
from stnlab.warp.affine import affine_grid, determinant, share_outside
from stnlab.warp.sampling import sample
from stnlab.warp.time import share_outside_time, warp_time

SHARE_OUTSIDE, DETERMINANT = "share outside", "determinant"
_AFFINE = ("theta11", "theta12", "theta13", "theta21", "theta22", "theta23")
TIME_PARAMETERS = ("theta22", "theta23", "slope", "offset")


class Warped(NamedTuple):
    """What a transformer made of a batch.

    Of images, ``views`` (N, V, C, height, width) and ``theta`` (N, V, 2, 3); of series, ``views``
    (N, 1, C, hours) and ``theta`` (N, 4), in the order of :data:`TIME_PARAMETERS`.
    """

    views: Tensor
    theta: Tensor


class SpatialTransformer(nn.Module):
    """Warps each image by the thetas predicted from it.

    Input (N, C, H, W). With ``per_channel`` each channel goes through the localization network on
    its own and gets its own warp; else the network sees all channels and each of its thetas gives
    one view of the whole image.
    """

    def __init__(
        self,
        localization: Localization,
        view_size: tuple[int, int],
        per_channel: bool,
        padding_mode: str,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.localization = localization
        self.view_size = view_size
        self.per_channel = per_channel
        self.padding_mode = padding_mode
        self.align_corners = align_corners

    def forward(self, images: Tensor) -> Warped:
        num_images, num_channels = images.shape[:2]
        if self.per_channel:
            images = images.flatten(0, 1)[:, None]
        theta: Tensor = self.localization(images)
        views = self._views(images, theta)
        if self.per_channel:
            theta = theta.view(num_images, num_channels, 2, 3)
            views = views.view(num_images, num_channels, 1, *self.view_size)
        return Warped(views, theta)

    def _views(self, images: Tensor, theta: Tensor) -> Tensor:
        """(N, C, H, W) and (N, V, 2, 3) to (N, V, C, height, width).

        The views of an image are read in one go, as one tall image of V times the height.
        """
        num_views = theta.shape[1]
        height, width = self.view_size
        grid = affine_grid(theta.flatten(0, 1), self.view_size, self.align_corners)
        tall = sample(
            images,
            grid.reshape(len(images), num_views * height, width, 2),
            self.padding_mode,
            self.align_corners,
        )
        return tall.view(len(images), -1, num_views, height, width).transpose(1, 2)

    def describe(self, theta: Tensor) -> dict[str, Tensor]:
        """What thetas (N, V, 2, 3) say of each view, by name: (N,) each."""
        found: dict[str, Tensor] = {}
        for view, of_view in enumerate(theta.unbind(1)):
            prefix = "theta" if theta.shape[1] == 1 else f"theta of view {view}"
            for name, values in zip(_AFFINE, of_view.flatten(1).unbind(1), strict=True):
                found[f"{prefix}/{name}"] = values
            outside = share_outside(of_view, self.view_size, self.align_corners)
            found[f"{prefix}/{SHARE_OUTSIDE}"] = outside
            found[f"{prefix}/{DETERMINANT}"] = determinant(of_view)
        return found


class TimeTransformer(nn.Module):
    """Warps each series in time, and its values linearly, by what is predicted from it.

    All channels go through one warp, and through one slope and one offset: what is read is
    ``slope * value + offset``. Input (N, C, hours).

    Source: SEED section 5.2.2; that all channels share them follows from its two extra outputs.
    """

    def __init__(
        self, localization: Localization, num_hours: int, padding_mode: str, align_corners: bool
    ) -> None:
        super().__init__()
        self.localization = localization
        self.num_hours = num_hours
        self.padding_mode = padding_mode
        self.align_corners = align_corners

    def forward(self, series: Tensor) -> Warped:
        theta: Tensor = self.localization(series)
        theta22, theta23, slope, offset = theta.unbind(1)
        read = warp_time(series, theta22, theta23, self.padding_mode, self.align_corners)
        views = slope[:, None, None] * read + offset[:, None, None]
        return Warped(views[:, None], theta)

    def describe(self, theta: Tensor) -> dict[str, Tensor]:
        """What thetas (N, 4) say, by name: (N,) each."""
        found = {f"theta/{name}": theta[:, i] for i, name in enumerate(TIME_PARAMETERS)}
        outside = share_outside_time(theta[:, 0], theta[:, 1], self.num_hours, self.align_corners)
        return found | {f"theta/{SHARE_OUTSIDE}": outside}

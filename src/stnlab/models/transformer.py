"""The spatial transformer: localization network, grid generator and sampler."""

from typing import NamedTuple

from torch import Tensor, nn

from stnlab.models.localization import Localization
from stnlab.warp.affine import affine_grid
from stnlab.warp.sampling import sample


class Warped(NamedTuple):
    """What a transformer made of a batch.

    ``views`` (N, V, C, height, width) are the warped images, ``theta`` (N, V, 2, 3) the warps.
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

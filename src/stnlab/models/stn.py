"""The spatial transformer network, and what networks with convolutions behind a warp share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec, ImageSpec
from stnlab.models.cnn import ClassifierKeys
from stnlab.models.transformer import (
    ThetaKeys,
    WarpingModel,
    build_spatial_transformer,
    require_images,
)
from stnlab.parts import add_model
from stnlab.rules import MAX_WIDTH, require_blocks, require_count

if TYPE_CHECKING:
    from stnlab.layers.localization import Localization
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@dataclass
class _Blocks:
    channels: list[int] = MISSING  # one number for each convolution
    kernel_sizes: list[int] = MISSING
    hidden: int = MISSING


@dataclass
class LocalizationKeys(ThetaKeys, _Blocks):
    """Convolutions that predict theta; after each, if asked for, batch norm.

    Source of ``batch_norm``, before pooling and ReLU: Ioffe and Szegedy (2015), section 3.2.
    ``half_size`` reads the input at half its size; without ``last_pool`` the last convolution goes
    unpooled: both as the ST-CNN of Jaderberg et al. (2015) has it.
    """

    batch_norm: bool = False
    half_size: bool = False
    last_pool: bool = True

    def check(self, size: tuple[int, ...]) -> None:
        if self.half_size:
            size = tuple(length // 2 for length in size)
        require_blocks(
            *("model.localization.channels", self.channels),
            *("model.localization.kernel_sizes", self.kernel_sizes),
            size,
            last_pool=self.last_pool,
        )
        require_count("model.localization.hidden", self.hidden, MAX_WIDTH)
        super().check(size)

    def build(
        self,
        channels: int,
        size: tuple[int, ...],
        num_views: int,
        identity: Sequence[float],
    ) -> "Localization":
        from stnlab.layers.localization import Localization

        return Localization(
            *(self.channels, self.kernel_sizes, self.hidden, channels, size),
            *(num_views, len(identity)),
            batch_norm=self.batch_norm,
            half_size=self.half_size,
            last_pool=self.last_pool,
            bounded=self.bounded(identity),
        )


@dataclass
class TransformerModel(WarpingModel):
    """A network of convolutions that warps its input: what those of images and of time share."""

    localization: LocalizationKeys = field(default_factory=LocalizationKeys)
    classifier: ClassifierKeys = field(default_factory=ClassifierKeys)
    # True: -1 and 1 are the centres of the outermost pixels, PyTorch's only behaviour when SEED was
    # written (0.3); False: their outer edges, PyTorch's default since 1.3.
    align_corners: bool = True


@add_model("stn")
@dataclass
class Stn(TransformerModel):
    """One warp of the whole input, then the CNN. Source: SEED section 4.1.2."""

    def view_size(self, spec: ImageSpec) -> tuple[int, int]:
        """(height, width) of a view, in pixels."""
        return spec.size

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require_images(self, config, spec)
        assert isinstance(spec, ImageSpec)
        self.classifier.check(self.view_size(spec))
        self.localization.check(spec.size)
        self.check_start(config, spec)

    def build(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Network":
        assert isinstance(spec, ImageSpec)
        return build_image_network(
            self, config, spec, view_size=spec.size, num_views=1, per_channel=False
        )


def build_image_network(
    model: TransformerModel,
    config: "ExperimentConfig",
    spec: ImageSpec,
    *,
    view_size: tuple[int, int],
    num_views: int,
    per_channel: bool,
) -> "Network":
    """Localization network, warp and classifier of ``num_views`` views of ``view_size``."""
    from stnlab.layers.network import Network

    transformer = build_spatial_transformer(
        *(model, config, spec),
        view_size=view_size,
        per_channel=per_channel,
        align_corners=model.align_corners,
    )
    channels = 1 if per_channel else spec.channels
    classifier = model.classifier.build(channels, view_size, num_views, spec.num_classes)
    return Network(transformer, classifier)

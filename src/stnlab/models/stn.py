"""The spatial transformer network, and what networks with a transformer share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec, ImageSpec
from stnlab.errors import UserError
from stnlab.models.cnn import ClassifierKeys
from stnlab.parts import ImageWarp, ModelPart, add_model
from stnlab.rules import MAX_WIDTH, require, require_blocks, require_count

if TYPE_CHECKING:
    from stnlab.layers.localization import Localization
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@dataclass
class LocalizationKeys:
    """The network that predicts theta."""

    channels: list[int] = MISSING  # one number for each convolution
    kernel_sizes: list[int] = MISSING
    hidden: int = MISSING
    lr: float | None = None

    def check(self, size: tuple[int, ...]) -> None:
        """Refuse what does not fit an input of ``size``."""
        require_blocks(
            *("model.localization.channels", self.channels),
            *("model.localization.kernel_sizes", self.kernel_sizes),
            size,
        )
        require_count("model.localization.hidden", self.hidden, MAX_WIDTH)
        require(
            self.lr is None or 0 < self.lr < float("inf"),
            "model.localization.lr",
            self.lr,
            "null (as optimizer.lr) or above 0",
        )

    def build(
        self, channels: int, size: tuple[int, ...], num_views: int, num_parameters: int
    ) -> "Localization":
        """The network of inputs (N, channels, *size)."""
        from stnlab.layers.localization import Localization

        return Localization(
            self.channels,
            self.kernel_sizes,
            self.hidden,
            channels,
            size,
            num_views,
            num_parameters,
        )


@dataclass
class TransformerModel(ModelPart):
    """A network that warps its input: what is shared by those of images and of time."""

    localization: LocalizationKeys = field(default_factory=LocalizationKeys)
    classifier: ClassifierKeys = field(default_factory=ClassifierKeys)
    # True: -1 and 1 are the centres of the outermost pixels, PyTorch's only behaviour when SEED was
    # written (0.3); False: their outer edges, PyTorch's default since 1.3.
    align_corners: bool = True

    @property
    def has_transformer(self) -> bool:
        return True

    def learning_rates(self) -> dict[str, float]:
        return {} if self.localization.lr is None else {"transformer": self.localization.lr}


@add_model("stn")
@dataclass
class Stn(TransformerModel):
    """One warp of the whole input, then the CNN. Source: SEED section 4.1.2."""

    def view_size(self, spec: ImageSpec) -> tuple[int, int]:
        """(height, width) of a view, in pixels."""
        return spec.size

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        if not isinstance(spec, ImageSpec):
            raise UserError(
                f"model={self.name} does not go with dataset={config.dataset.name}: it warps "
                "images, and these are series of time. Use model=ts-stn, which warps time."
            )
        self.classifier.check(self.view_size(spec))
        self.localization.check(spec.size)

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
    from stnlab.layers.transformer import SpatialTransformer

    warp = config.warp
    assert isinstance(warp, ImageWarp)
    channels, num_thetas = 1 if per_channel else spec.channels, model.num_thetas(spec)
    localization = model.localization.build(
        channels, spec.size, num_thetas, len(warp.parameter_names)
    )
    start = config.init.start(warp, num_thetas, config.seed)
    if start is not None:
        localization.start_at(start)
    transformer = SpatialTransformer(
        (spec.channels, *spec.size),
        warp,
        view_size=view_size,
        per_channel=per_channel,
        padding_mode=config.padding.label,
        padding_value=config.padding.value(config.dataset, spec),
        align_corners=model.align_corners,
        localization=localization,
    )
    classifier = model.classifier.build(channels, view_size, num_views, spec.num_classes)
    return Network(transformer, classifier)

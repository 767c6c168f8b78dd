"""The spatial transformer network, and what networks with a transformer share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec, ImageSpec
from stnlab.errors import UserError
from stnlab.models.cnn import ClassifierKeys
from stnlab.parts import ImageWarp, ModelPart, WarpPart, add_model
from stnlab.rules import (
    MAX_COUNT,
    MAX_WIDTH,
    require,
    require_blocks,
    require_count,
    require_not_negative,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from stnlab.layers.localization import Localization
    from stnlab.layers.network import Network
    from stnlab.schema import ExperimentConfig


@dataclass
class LocalizationKeys:
    """The network that predicts theta, and what may keep it from running off at the start.

    ``batch_norm``: after each convolution, before pooling and ReLU. Source: Ioffe and Szegedy
    (2015), section 3.2.

    ``warmup_steps``: its rate rises from 0 in a straight line over so many optimizer steps, on top
    of the schedule. Source: Goyal et al. (2017), section 2.2, there of the whole network.

    ``identity_penalty``: so many times the mean squared difference between theta and the warp's
    identity, over the batch, the views and the parameters, is added to the loss of training.
    Source: the prior on theta of Shapira Weber et al. (2019), with one variance for all.

    ``bound``: no entry of theta is further from the identity than this; what the network says, t,
    is read as ``identity + bound * tanh((t - identity) / bound)``. Source: the tanh that keeps
    control points within the image in Shi et al. (2016), section 3.1.1.
    """

    channels: list[int] = MISSING  # one number for each convolution
    kernel_sizes: list[int] = MISSING
    hidden: int = MISSING
    lr: float | None = None
    batch_norm: bool = False
    warmup_steps: int = 0
    identity_penalty: float = 0.0
    bound: float | None = None

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
        require(
            0 <= self.warmup_steps <= MAX_COUNT,
            "model.localization.warmup_steps",
            self.warmup_steps,
            "0 (none) or a number of optimizer steps",
        )
        require_not_negative("model.localization.identity_penalty", self.identity_penalty)
        require(
            self.bound is None or 0 < self.bound < float("inf"),
            "model.localization.bound",
            self.bound,
            "null (none) or above 0",
        )

    def build(
        self,
        channels: int,
        size: tuple[int, ...],
        num_views: int,
        identity: "Sequence[float]",
    ) -> "Localization":
        """The network of inputs (N, channels, *size), for thetas (N, num_views, parameters).

        ``identity`` is the theta that changes nothing.
        """
        from stnlab.layers.localization import Localization

        return Localization(
            *(self.channels, self.kernel_sizes, self.hidden, channels, size),
            *(num_views, len(identity)),
            batch_norm=self.batch_norm,
            bounded=None if self.bound is None else (identity, self.bound),
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

    def warmup_steps(self) -> dict[str, int]:
        steps = self.localization.warmup_steps
        return {"transformer": steps} if steps else {}

    def identity(self, warp: WarpPart) -> tuple[float, ...]:
        """Theta that changes nothing, of one view."""
        return warp.identity

    def start(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Tensor | None":
        """Thetas (views, parameters) that are predicted at first; None leaves PyTorch's own."""
        return config.init.start(config.warp, self.num_thetas(spec), config.seed)

    def penalty(self, config: "ExperimentConfig") -> "Callable[[Tensor], Tensor] | None":
        weight = self.localization.identity_penalty
        identity = self.identity(config.warp)
        if weight == 0:
            return None

        def of_leaving_the_identity(theta: "Tensor") -> "Tensor":
            return weight * (theta.float() - theta.new_tensor(identity)).square().mean()

        return of_leaving_the_identity

    def check_start(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        """Refuse a start that ``localization.bound`` leaves no room for."""
        bound = self.localization.bound
        if bound is None:
            return
        config.warp.check(config, spec)  # which come after the model
        config.init.check(config, spec)
        start = self.start(config, spec)
        if start is None:
            return
        furthest = (start - start.new_tensor(self.identity(config.warp))).abs().max().item()
        require(
            furthest < bound,
            "model.localization.bound",
            bound,
            f"above {furthest:.3g}, by which init={config.init.name} is off the identity",
            "Use init=identity, or a wider bound.",
        )


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
    from stnlab.layers.transformer import SpatialTransformer

    warp = config.warp
    assert isinstance(warp, ImageWarp)
    channels, num_thetas = 1 if per_channel else spec.channels, model.num_thetas(spec)
    localization = model.localization.build(channels, spec.size, num_thetas, model.identity(warp))
    start = model.start(config, spec)
    if start is not None:
        localization.start_at(start)
    transformer = SpatialTransformer(
        (spec.channels, *spec.size),
        warp,
        view_size=view_size,
        per_channel=per_channel,
        padding_mode=config.padding.label,
        align_corners=model.align_corners,
        localization=localization,
    )
    classifier = model.classifier.build(channels, view_size, num_views, spec.num_classes)
    return Network(transformer, classifier)

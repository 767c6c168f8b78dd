"""What networks with a transformer share: how theta is learned, and what keeps it near."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec, ImageSpec
from stnlab.errors import UserError
from stnlab.parts import ImageWarp, ModelPart
from stnlab.rules import MAX_COUNT, require, require_not_negative

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from stnlab.layers.localization import ThetaNetwork
    from stnlab.layers.transformer import SpatialTransformer
    from stnlab.schema import ExperimentConfig


@dataclass
class ThetaKeys:
    """How the network that predicts theta learns, and what may keep it from running off.

    ``warmup_steps``: its rate rises from 0 in a straight line over so many optimizer steps, on top
    of the schedule. Source: Goyal et al. (2017), section 2.2, there of the whole network.

    ``identity_penalty``: so many times the mean squared difference between theta and the warp's
    identity, over the batch, the views and the parameters, is added to the loss of training.
    Source: the prior on theta of Shapira Weber et al. (2019), with one variance for all.

    ``bound``: no entry of theta is further from the identity than this; what the network says, t,
    is read as ``identity + bound * tanh((t - identity) / bound)``. Source: the tanh that keeps
    control points within the image in Shi et al. (2016), section 3.1.1.
    """

    lr: float | None = None
    warmup_steps: int = 0
    identity_penalty: float = 0.0
    bound: float | None = None

    def check(self, size: tuple[int, ...]) -> None:
        """Refuse what does not fit an input of ``size``."""
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
    ) -> "ThetaNetwork":
        """The network of inputs (N, channels, *size), for thetas (N, num_views, parameters).

        ``identity`` is the theta that changes nothing.
        """
        raise NotImplementedError(f"{type(self).__name__}.build")

    def bounded(self, identity: "Sequence[float]") -> "tuple[Sequence[float], float] | None":
        """What theta is kept near, and how near; None for no bound."""
        return None if self.bound is None else (identity, self.bound)


@dataclass
class WarpingModel(ModelPart):
    """A network that warps its input."""

    localization: ThetaKeys = field(default_factory=ThetaKeys)

    @property
    def has_transformer(self) -> bool:
        return True

    def learning_rates(self) -> dict[str, float]:
        return {} if self.localization.lr is None else {"transformer": self.localization.lr}

    def warmup_steps(self) -> dict[str, int]:
        steps = self.localization.warmup_steps
        return {"transformer": steps} if steps else {}

    def identity(self, config: "ExperimentConfig", spec: DatasetSpec) -> tuple[float, ...]:
        """Theta that changes nothing, of one view."""
        return config.warp.identity

    def start(self, config: "ExperimentConfig", spec: DatasetSpec) -> "Tensor | None":
        """Thetas (views, parameters) that are predicted at first; None leaves PyTorch's own."""
        return config.init.start(config.warp, self.num_thetas(spec), config.seed)

    def at_start(
        self, config: "ExperimentConfig", spec: DatasetSpec, channels: int, num_views: int
    ) -> "ThetaNetwork":
        """The localization network of inputs (N, channels, *size), as it begins."""
        identity = self.identity(config, spec)
        localization = self.localization.build(channels, spec.size, num_views, identity)
        start = self.start(config, spec)
        if start is not None:
            localization.start_at(start)
        return localization

    def penalty(
        self, config: "ExperimentConfig", spec: DatasetSpec
    ) -> "Callable[[Tensor], Tensor] | None":
        weight = self.localization.identity_penalty
        identity = self.identity(config, spec)
        if weight == 0:
            return None

        def of_leaving_the_identity(theta: "Tensor") -> "Tensor":
            theta = theta.float()
            return weight * (theta - theta.new_tensor(identity)).square().mean()

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
        furthest = (start - start.new_tensor(self.identity(config, spec))).abs().max().item()
        require(
            furthest < bound,
            "model.localization.bound",
            bound,
            f"above {furthest:.3g}, by which init={config.init.name} is off the identity",
            "Use init=identity, or a wider bound.",
        )


def require_images(model: ModelPart, config: "ExperimentConfig", spec: DatasetSpec) -> None:
    """Refuse data that are no images."""
    if not isinstance(spec, ImageSpec):
        raise UserError(
            f"model={model.name} does not go with dataset={config.dataset.name}: it warps "
            "images, and these are series of time. Use model=ts-stn, which warps time."
        )


def build_spatial_transformer(
    model: WarpingModel,
    config: "ExperimentConfig",
    spec: ImageSpec,
    *,
    view_size: tuple[int, int],
    per_channel: bool = False,
    align_corners: bool,
) -> "SpatialTransformer":
    """Localization network, at its start, and warp."""
    from stnlab.layers.transformer import SpatialTransformer

    warp = config.warp
    assert isinstance(warp, ImageWarp)
    channels = 1 if per_channel else spec.channels
    return SpatialTransformer(
        (spec.channels, *spec.size),
        warp,
        view_size=view_size,
        per_channel=per_channel,
        padding_mode=config.padding.label,
        padding_value=config.padding.value(config.dataset, spec),
        align_corners=align_corners,
        localization=model.at_start(config, spec, channels, model.num_thetas(spec)),
    )

"""Where the localization network starts. The weight of its last layer is 0, but for torch's own."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.errors import UserError
from stnlab.parts import InitPart, WarpPart, add_init
from stnlab.rules import MAX_FLOAT32, require

if TYPE_CHECKING:
    from torch import Tensor

    from stnlab.schema import ExperimentConfig

_THETA_SIZE = 6


class InitScheme(Enum):
    """What the last layer of the localization network starts from."""

    fixed = "fixed"  # weight 0, bias theta
    gaussian = "gaussian"  # weight 0, bias from the standard Gaussian
    torch_default = "torch_default"  # weight and bias as PyTorch draws them


@add_init("start")
@dataclass
class Start(InitPart):
    """A fixed map, a Gaussian draw, or PyTorch's own initialisation.

    Source: SEED section 4.1.2 and, for ``torch_default``, its public code.
    """

    scheme: InitScheme = InitScheme.fixed
    # scheme fixed: an affine map for each transformer, or one for all; the warp's identity is
    # [1, 0, 0, 0, 1, 0] in every family
    theta: list[list[float]] | None = None

    def start(self, warp: WarpPart, num_views: int, seed: int) -> "Tensor | None":
        import torch

        from stnlab.data.randomness import Stream, generator

        if self.scheme is InitScheme.torch_default:
            return None
        num_parameters = len(warp.parameter_names)
        if self.scheme is InitScheme.gaussian:
            rng = generator(Stream.random_init, seed)
            return torch.randn(num_views * num_parameters, generator=rng).view(num_views, -1)
        starts = [warp.start(row) for row in self.theta or []]
        return torch.tensor(starts).expand(num_views, num_parameters)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        if self.scheme is not InitScheme.fixed:
            drawn = f"null, because init.scheme={self.scheme.name} draws it"
            require(self.theta is None, "init.theta", self.theta, drawn)
            return
        rows = self.theta or []
        require(
            len(rows) >= 1 and all(len(row) == _THETA_SIZE for row in rows),
            "init.theta",
            self.theta,
            "rows of 6 numbers [theta11, theta12, theta13, theta21, theta22, theta23]",
        )
        require(
            all(abs(value) <= MAX_FLOAT32 for row in rows for value in row),
            "init.theta",
            self.theta,
            "finite numbers",
        )
        if config.warp.num_axes == 1 and len(rows) != 1:
            self._refuse(config)
        if any(config.warp.start(row) is None for row in rows):
            self._refuse(config)
        num_thetas = config.model.num_thetas(spec)
        if len(rows) not in (1, num_thetas):
            raise UserError(
                f"init={self.name} does not go with dataset={config.dataset.name} and "
                f"model={config.model.name}: it sets {len(rows)} crops of one image, and this "
                f"localization network predicts {num_thetas}. Use init=identity, or "
                "dataset=same-image with model=multi-stn."
            )

    def _refuse(self, config: "ExperimentConfig") -> None:
        if config.warp.num_axes == 1:
            affine = config.warp.start([1, 0, 0, 0, 1, 1]) is not None
            row = "[1, 0, 0, 0, theta22, theta23]" if affine else "[1, 0, 0, 0, 1, 0]"
            raise UserError(
                f"init={self.name} does not go with model={config.model.name}, which warps time "
                f"alone: init.theta is {self.theta}; allowed: one row {row}. Use init=identity."
            )
        raise UserError(
            f"init={self.name} does not go with warp={config.warp.name}, which cannot do "
            f"the map of init.theta: {self.theta}. Use init=identity, or warp=affine."
        )

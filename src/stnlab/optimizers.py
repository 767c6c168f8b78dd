"""torch's optimizers, under torch's argument names. Each is fused: one kernel a step."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from stnlab.data.spec import DatasetSpec
from stnlab.errors import UserError
from stnlab.parts import OptimizerPart, add_optimizer
from stnlab.rules import require, require_not_negative

if TYPE_CHECKING:
    import torch

    from stnlab.schema import ExperimentConfig


@add_optimizer("adam")
@dataclass
class Adam(OptimizerPart):
    """:class:`torch.optim.Adam`. Source: Kingma and Ba (2015)."""

    betas: tuple[float, float] = MISSING
    eps: float = MISSING
    weight_decay: float = MISSING
    amsgrad: bool = MISSING

    def build(self, groups: list[dict[str, Any]]) -> "torch.optim.Optimizer":
        from stnlab.kernels.adam import OneCallAdam

        return OneCallAdam(groups, **self.arguments())

    def arguments(self) -> dict[str, Any]:
        """torch's arguments."""
        return {
            "lr": self.lr,
            "betas": self.betas,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
            "amsgrad": self.amsgrad,
        }

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require(
            len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "optimizer.betas",
            list(self.betas),
            "two numbers in [0, 1)",
        )
        require(0 < self.eps < float("inf"), "optimizer.eps", self.eps, "above 0")
        require_not_negative("optimizer.weight_decay", self.weight_decay)


@add_optimizer("adamw")
@dataclass
class AdamW(Adam):
    """:class:`torch.optim.AdamW`: the decay apart. Source: Loshchilov and Hutter (2019)."""

    def build(self, groups: list[dict[str, Any]]) -> "torch.optim.Optimizer":
        import torch

        return torch.optim.AdamW(groups, fused=True, **self.arguments())


@add_optimizer("sgd")
@dataclass
class SGD(OptimizerPart):
    """:class:`torch.optim.SGD`, with momentum (Polyak 1964; Nesterov 1983)."""

    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def build(self, groups: list[dict[str, Any]]) -> "torch.optim.Optimizer":
        import torch

        return torch.optim.SGD(
            groups,
            lr=self.lr,
            momentum=self.momentum,
            dampening=self.dampening,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            fused=True,
        )

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require(0 <= self.momentum < 1, "optimizer.momentum", self.momentum, "in [0, 1)")
        require(0 <= self.dampening < 1, "optimizer.dampening", self.dampening, "in [0, 1)")
        require_not_negative("optimizer.weight_decay", self.weight_decay)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise UserError(
                "optimizer.nesterov is true; allowed: only with optimizer.momentum above 0 and "
                "optimizer.dampening=0."
            )

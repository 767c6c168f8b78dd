"""How the learning rate changes with the step, under torch's argument names.

A rate of its own, as ``model.localization.lr``, follows the schedule, too.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from stnlab.data.spec import DatasetSpec
from stnlab.parts import SchedulePart, add_schedule
from stnlab.rules import require, require_count, require_positive

if TYPE_CHECKING:
    from stnlab.schema import ExperimentConfig


@add_schedule("none")
@dataclass
class Constant(SchedulePart):
    """No schedule: SEED's."""

    def factor(self, step: int, num_steps: int) -> float:
        return 1.0


@add_schedule("step")
@dataclass
class StepDecay(SchedulePart):
    """The rate times ``gamma`` after every ``step_size`` steps, as torch's ``StepLR``."""

    name: str = "step"
    step_size: int = 5000  # optimizer steps, not epochs
    gamma: float = 0.5

    def factor(self, step: int, num_steps: int) -> float:
        return float(self.gamma ** (step // self.step_size))

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        require_count("schedule.step_size", self.step_size)
        require(0 < self.gamma <= 1, "schedule.gamma", self.gamma, "above 0, at most 1")


@add_schedule("cosine")
@dataclass
class Cosine(SchedulePart):
    """Half a cosine from the rate down to ``eta_min``, as torch's ``CosineAnnealingLR``.

    Its ``T_max`` is the number of steps. Source: Loshchilov and Hutter (2017), without restarts.
    """

    needs_num_steps: ClassVar[bool] = True

    name: str = "cosine"
    eta_min: float = 0.0

    def factor(self, step: int, num_steps: int) -> float:
        return (1 + math.cos(math.pi * step / num_steps)) / 2

    def rate(self, lr: float, step: int, num_steps: int) -> float:
        return self.eta_min + (lr - self.eta_min) * self.factor(step, num_steps)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        lowest = min([config.optimizer.lr, *config.model.learning_rates().values()])
        require(
            0 <= self.eta_min <= lowest,
            "schedule.eta_min",
            self.eta_min,
            f"0 to {lowest}, the lowest rate that training begins with",
        )


@add_schedule("onecycle")
@dataclass
class OneCycle(SchedulePart):
    """Up to the rate and down again, each half a cosine: the rate is the highest.

    From ``1 / div_factor`` of it to it in the first ``pct_start`` of the steps, then down to
    ``1 / (div_factor * final_div_factor)``. Source: Smith and Topin (2019); names and values as in
    torch's ``OneCycleLR``, whose ``max_lr`` is the rate. The momentum stays as it is.
    """

    needs_num_steps: ClassVar[bool] = True

    name: str = "onecycle"
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 10_000.0

    def factor(self, step: int, num_steps: int) -> float:
        first, last = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        top = self.pct_start * num_steps - 1
        if step <= top:
            return _between(first, 1.0, step / (top or 1))
        return _between(1.0, last, (step - top) / (num_steps - 1 - top))

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        require(0 < self.pct_start < 1, "schedule.pct_start", self.pct_start, "between 0 and 1")
        require_positive("schedule.div_factor", self.div_factor)
        require_positive("schedule.final_div_factor", self.final_div_factor)


def _between(start: float, end: float, share: float) -> float:
    """Half a cosine from ``start`` to ``end``."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

"""How the learning rate changes: a factor of every rate, as a function of the step."""

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

    def factor(self, step: int, num_steps: int) -> float:  # noqa: ARG002
        return 1.0


@add_schedule("step")
@dataclass
class StepDecay(SchedulePart):
    """The rate times ``gamma`` after every ``step_size`` steps, as :class:`torch`'s ``StepLR``."""

    name: str = "step"
    step_size: int = 1000  # optimizer steps, not epochs
    gamma: float = 0.5

    def factor(self, step: int, num_steps: int) -> float:  # noqa: ARG002
        return float(self.gamma ** (step // self.step_size))

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:  # noqa: ARG002
        require_count("schedule.step_size", self.step_size)
        require(0 < self.gamma <= 1, "schedule.gamma", self.gamma, "above 0, at most 1")


@add_schedule("cosine")
@dataclass
class Cosine(SchedulePart):
    """Half a cosine from the rate down to ``final`` of it at the last step.

    Source: Loshchilov and Hutter (2017), without restarts; torch's ``CosineAnnealingLR``.
    """

    needs_num_steps: ClassVar[bool] = True

    name: str = "cosine"
    final: float = 0.0

    def factor(self, step: int, num_steps: int) -> float:
        share = step / max(num_steps, 1)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * share)) / 2

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:  # noqa: ARG002
        require(0 <= self.final <= 1, "schedule.final", self.final, "0 to 1")


@add_schedule("onecycle")
@dataclass
class OneCycle(SchedulePart):
    """Up to the rate and down again, each half a cosine: the rate is the highest.

    From ``1 / div_factor`` of it to it in the first ``pct_start`` of the steps, then down to
    ``1 / (div_factor * final_div_factor)``. Source: Smith and Topin (2019); names and values as in
    torch's ``OneCycleLR``. The momentum stays.
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
            return _between(first, 1.0, step / max(top, 1))
        return _between(1.0, last, (step - top) / max(num_steps - 1 - top, 1))

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:  # noqa: ARG002
        require(0 < self.pct_start < 1, "schedule.pct_start", self.pct_start, "between 0 and 1")
        require_positive("schedule.div_factor", self.div_factor)
        require_positive("schedule.final_div_factor", self.final_div_factor)


def _between(start: float, end: float, share: float) -> float:
    """Half a cosine from ``start`` to ``end``."""
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2

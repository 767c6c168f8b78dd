"""Adam in one call a step."""

from collections.abc import Callable
from typing import Any

import torch


class OneCallAdam(torch.optim.Adam):
    """torch's fused Adam, its numbers and its state, without what it looks up in every step.

    Parameters that have taken equally many steps, as all do here, share one counter: one addition a
    step instead of one for each of them.
    """

    def __init__(self, parameters: list[dict[str, Any]], **settings: Any) -> None:
        super().__init__(parameters, **settings, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # one of the base's overloads
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._needs_the_base():
            is_first = not self.state
            for state in self.state.values():
                state["step"] = state["step"].clone()
            super().step()
            if is_first:
                self._share_counters()
            return loss
        for group in self.param_groups:
            parameters = [each for each in group["params"] if each.grad is not None]
            if not parameters:  # of a group that is frozen, or of which the network has none
                continue
            states = [self.state[each] for each in parameters]
            counters = [state["step"] for state in states]
            for counter in {id(each): each for each in counters}.values():
                counter.add_(1)
            beta1, beta2 = group["betas"]
            torch._fused_adam_(
                parameters,
                [each.grad for each in parameters],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else [],
                counters,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=group["amsgrad"],
                maximize=group["maximize"],
            )
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        if len({float(state["step"]) for state in self.state.values()}) == 1:
            self._share_counters()

    def _needs_the_base(self) -> bool:
        """Whether a parameter takes its first step or leaves one out, or a GradScaler speaks."""
        return getattr(self, "grad_scale", None) is not None or any(
            (each.grad is not None) != (each in self.state)
            for group in self.param_groups
            for each in group["params"]
        )

    def _share_counters(self) -> None:
        """Of each group; all its counters are equal, and its parameters step together from now."""
        for group in self.param_groups:
            states = [self.state[each] for each in group["params"] if each in self.state]
            for state in states:
                state["step"] = states[0]["step"]

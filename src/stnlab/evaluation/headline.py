"""The number that a run is followed and told by. Needs no torch: sweeps show it, too."""

from collections.abc import Mapping
from typing import Any

from stnlab.data.spec import Task

_MEASURES = {Task.multiclass: "accuracy", Task.binary: "auroc"}


def measure(task: Task) -> str:
    """The score of an epoch that tells which is best: a key of :mod:`stnlab.evaluation.scores`."""
    return _MEASURES[task]


def say(scores: Mapping[str, float], prefix: str = "") -> str:
    """``accuracy 97.12%`` or ``AUROC 0.851``; empty where there is neither."""
    if f"{prefix}accuracy" in scores:
        return f"accuracy {scores[f'{prefix}accuracy']:.2%}"
    if f"{prefix}auroc" in scores:
        return f"AUROC {scores[f'{prefix}auroc']:.3f}"
    return ""


def say_result(metrics: Mapping[str, Any]) -> str:
    """What a complete run reached with its last epoch, from its ``metrics.json``."""
    test = metrics["test"]
    return f"{say(test['clean'])} on clean digits" if "clean" in test else say(test)

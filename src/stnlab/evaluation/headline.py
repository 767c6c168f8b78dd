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
    return f"{say(test['clean'])} on clean {examples(metrics)}" if "clean" in test else say(test)


def examples(metrics: Mapping[str, Any]) -> str:
    """What a complete run's examples are called; earlier runs were on digits and on stays."""
    data = metrics.get("data")
    found = data.get("examples") if isinstance(data, Mapping) else None
    return str(found or ("stays" if "auroc" in metrics["test"] else "digits"))


def tests(test: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """The scores of what was tested by name, "" where it is one thing: from ``metrics.json``."""
    return {"": test} if "n" in test else dict(test)

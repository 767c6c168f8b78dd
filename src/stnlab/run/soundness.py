"""What the parts of any dataset must have before a step is taken on them."""

from dataclasses import fields
from typing import NamedTuple

import torch
from torch import Tensor

from stnlab.data.batches import BatchSource
from stnlab.data.spec import Task
from stnlab.errors import UserError
from stnlab.parts import DatasetPart
from stnlab.run.experiment import Experiment

_NAMES = {"train": "training", "val": "validation", "test": "test"}
_MAX_NAMED = 5  # classes in a message


class _Part(NamedTuple):
    key: str  # of _NAMES
    batches: BatchSource
    counts: Tensor  # (classes,), the examples of each


def require_usable(experiment: Experiment) -> None:
    """Refuse data that nothing can be learned from, or that cannot be tested on.

    No part is empty, and training has every class. A question of yes or no needs both answers in
    each part: there is no area under a curve without. That holds for what the limits of
    ``trainer`` leave, too; training on so little needs more than one class.

    Raises:
        UserError: naming what was found in which part, and the keys that decide it.
    """
    config, spec = experiment.config, experiment.spec
    sources = [("train", experiment.train_batches())]
    if experiment.has_validation:
        sources.append(("val", experiment.limited_val_batches()))
    sources += [("test", each) for each in experiment.limited_test_batches()]
    parts = [_Part(key, each, _counts(key, each, spec.num_classes)) for key, each in sources]
    found: dict[str, int] = {}
    for part in parts:  # a test may begin with its own part, and go on to what is chosen on
        found.setdefault(_NAMES[part.key], len(part.batches.targets))
    has = ", ".join(f"{name} {count}" for name, count in found.items())
    decided_by = f"The parts have these numbers of examples: {has}. {_keys(config.dataset)}"
    for part in parts:
        needs_both = spec.task is Task.binary
        _require_whole(part, part.key == "train" or needs_both, config.dataset.name, decided_by)
        if part.key == "train" or needs_both:
            num_epochs = config.trainer.max_epochs if part.key == "train" else 1
            limit = f"limit_{part.key}_batches"
            _require_two_seen(part, num_epochs, limit, getattr(config.trainer, limit))


def _counts(key: str, batches: BatchSource, num_classes: int) -> Tensor:
    targets = batches.targets.cpu()
    if len(targets) and not (targets.min() >= 0 and targets.max() < num_classes):
        raise UserError(
            f"the {_NAMES[key]} part has targets of {targets.min()} to {targets.max()}; allowed: 0 "
            f"to {num_classes - 1}, for the {num_classes} classes that the dataset says it has."
        )
    return torch.bincount(targets, minlength=num_classes)


def _require_whole(part: _Part, needs_all: bool, dataset: str, decided_by: str) -> None:
    total, missing = int(part.counts.sum()), (part.counts == 0).nonzero()[:, 0].tolist()
    if total == 0:
        raise UserError(f"dataset={dataset}: the {_NAMES[part.key]} part is empty. {decided_by}")
    if needs_all and missing:
        named = ", ".join(map(str, missing[:_MAX_NAMED]))
        raise UserError(
            f"dataset={dataset}: the {_NAMES[part.key]} part of {total} examples has none of "
            f"{len(missing)} of the {len(part.counts)} classes "
            f"({named}{', …' if len(missing) > _MAX_NAMED else ''}). {decided_by}"
        )


def _require_two_seen(part: _Part, num_epochs: int, limit: str, value: float) -> None:
    """More than one class in what a limit leaves of a part that has more."""
    batches, targets = part.batches, part.batches.targets.cpu()
    if batches.num_seen == len(targets):
        return
    seen: set[int] = set()
    for batches.epoch in range(num_epochs):
        seen |= set(targets[batches.order()[: batches.num_seen].cpu()].tolist())
        if len(seen) > 1:
            return
    raise UserError(
        f"trainer.{limit} is {value}; allowed: what leaves examples of more than one class. All "
        f"that it leaves of the {_NAMES[part.key]} part, {batches.num_seen} of {len(targets)} at a "
        f"time, is of class {seen.pop()}. Set it to 1.0."
    )


def _keys(config: DatasetPart) -> str:
    """The keys that decide how many examples a part has, and what they are now."""
    names = [each.name for each in fields(config)]
    counts = [
        name for name in names if name.startswith("num_") or name in ("val_size", "test_size")
    ]
    stated = [f"dataset.{name} is {getattr(config, name)}" for name in (*counts, "root")]
    return f"What decides them: {', '.join(stated)}. Change that, or give the data in full."

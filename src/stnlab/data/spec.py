"""What a dataset tells the rest of the house about itself: shape, classes, kind of task.

Models, losses and metrics ask here; no other file repeats these numbers. Needs neither torch nor
the data.
"""

from dataclasses import dataclass
from enum import Enum

from stnlab.schema import DatasetConfig, DigitsConfig, Layout

DIGIT_SIZE = 28  # pixels; MNIST
NUM_DIGITS = 10


class Task(Enum):
    """The kind of question; loss and metrics follow from it."""

    multiclass = "multiclass"  # cross-entropy, accuracy


@dataclass(frozen=True)
class DatasetSpec:
    """Shape and task of one dataset.

    ``channels``, ``height`` and ``width`` are an input's, in that order; ``object_size`` is the
    (height, width) of one digit in it, ``num_objects`` how many there are.
    """

    task: Task
    channels: int
    height: int
    width: int
    num_classes: int
    num_objects: int
    object_size: tuple[int, int]


_DIGIT = (DIGIT_SIZE, DIGIT_SIZE)
_NUM_SUMS = 2 * (NUM_DIGITS - 1) + 1

DIGIT_SPECS = {
    Layout.single: DatasetSpec(
        Task.multiclass, 1, DIGIT_SIZE, DIGIT_SIZE, NUM_DIGITS, num_objects=1, object_size=_DIGIT
    ),
    Layout.two_channel: DatasetSpec(
        Task.multiclass, 2, DIGIT_SIZE, DIGIT_SIZE, _NUM_SUMS, num_objects=2, object_size=_DIGIT
    ),
    Layout.same_image: DatasetSpec(
        Task.multiclass, 1, DIGIT_SIZE, 2 * DIGIT_SIZE, _NUM_SUMS, num_objects=2, object_size=_DIGIT
    ),
}


def dataset_spec(config: DatasetConfig) -> DatasetSpec:
    """The spec of a configured dataset."""
    assert isinstance(config, DigitsConfig)
    return DIGIT_SPECS[config.layout]

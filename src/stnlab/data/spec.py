"""What a dataset tells the rest of the house about itself: shape, classes, kind of task.

Models, losses and metrics ask here; no other file repeats these numbers. Needs neither torch nor
the data.
"""

from dataclasses import dataclass
from enum import Enum

from stnlab.data.mimic_variables import COLUMNS as MIMIC_COLUMNS
from stnlab.data.mimic_variables import NUM_HOURS
from stnlab.data.physionet2012_variables import COLUMNS as PHYSIONET2012_COLUMNS
from stnlab.schema import DatasetConfig, DigitsConfig, Layout, MimicConfig

DIGIT_SIZE = 28  # pixels; MNIST
NUM_DIGITS = 10


class Task(Enum):
    """The kind of question; loss and metrics follow from it."""

    multiclass = "multiclass"  # cross-entropy, accuracy
    binary = "binary"  # cross-entropy, areas under the ROC and the precision-recall curve


@dataclass(frozen=True)
class DatasetSpec:
    """Shape and task of one dataset; ``size`` is (height, width), or (hours,) of a series."""

    task: Task
    channels: int
    size: tuple[int, ...]
    num_classes: int


@dataclass(frozen=True)
class ImageSpec(DatasetSpec):
    """Images of one digit or several.

    ``object_size`` is the (height, width) of one digit, ``num_objects`` how many there are.
    """

    size: tuple[int, int]
    num_objects: int
    object_size: tuple[int, int]


@dataclass(frozen=True)
class SeriesSpec(DatasetSpec):
    """Series of so many hours; ``columns`` names their channels."""

    size: tuple[int]
    columns: tuple[str, ...]


_DIGIT = (DIGIT_SIZE, DIGIT_SIZE)
_NUM_SUMS = 2 * (NUM_DIGITS - 1) + 1

DIGIT_SPECS = {
    Layout.single: ImageSpec(
        Task.multiclass, 1, _DIGIT, NUM_DIGITS, num_objects=1, object_size=_DIGIT
    ),
    Layout.two_channel: ImageSpec(
        Task.multiclass, 2, _DIGIT, _NUM_SUMS, num_objects=2, object_size=_DIGIT
    ),
    Layout.same_image: ImageSpec(
        *(Task.multiclass, 1, (DIGIT_SIZE, 2 * DIGIT_SIZE), _NUM_SUMS),
        num_objects=2,
        object_size=_DIGIT,
    ),
}


def dataset_spec(config: DatasetConfig) -> DatasetSpec:
    """The spec of a configured dataset."""
    if isinstance(config, DigitsConfig):
        return DIGIT_SPECS[config.layout]
    columns = MIMIC_COLUMNS if isinstance(config, MimicConfig) else PHYSIONET2012_COLUMNS
    return SeriesSpec(Task.binary, len(columns), (NUM_HOURS,), num_classes=2, columns=columns)

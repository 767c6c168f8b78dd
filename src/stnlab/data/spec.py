"""What a dataset tells the rest of the house about itself: shape, classes, kind of task.

Models, losses, metrics, figures and reports ask here; no other file repeats these numbers. Needs
neither torch nor the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any


class Task(Enum):
    """The kind of question; loss and metrics follow from it."""

    multiclass = "multiclass"  # cross-entropy, accuracy
    binary = "binary"  # cross-entropy, areas under the ROC and the precision-recall curve


@dataclass(frozen=True)
class DatasetSpec:
    """Shape and task of one dataset.

    ``size`` is (height, width) in pixels, or (steps,) of a series; ``channels`` are those of an
    input. ``examples`` is the plural of what one example is called in figures and reports;
    ``classes`` names the classes where they have names of their own.
    """

    task: Task
    channels: int
    size: tuple[int, ...]
    num_classes: int
    examples: str = "examples"
    classes: tuple[str, ...] = ()

    @property
    def is_series(self) -> bool:
        """Whether the inputs have one axis, time."""
        return len(self.size) == 1

    def class_name(self, number: int) -> str:
        """What a class is called."""
        return self.classes[number] if self.classes else str(number)

    def to_plain(self) -> dict[str, Any]:
        """Plain containers, for a run's folder."""
        plain = {key: _plain(value) for key, value in asdict(self).items()}
        return {"kind": "series" if self.is_series else "images", **plain}


@dataclass(frozen=True)
class ImageSpec(DatasetSpec):
    """Images of one object or several.

    ``object_size`` is the (height, width) of one object in pixels, ``num_objects`` how many there
    are in an image; objects lie on channels of their own, or side by side. ``black`` is what a
    pixel of 0 is to the network, a value for each channel; empty where that is not known yet.
    """

    size: tuple[int, int]
    num_objects: int = 1
    object_size: tuple[int, int] = (0, 0)
    examples: str = "images"
    # It says nothing of an input's shape, in which two datasets may be alike.
    black: tuple[float, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.object_size == (0, 0):
            object.__setattr__(self, "object_size", self.size)

    @property
    def objects_have_channels(self) -> bool:
        """Whether each of several objects lies on channels of its own."""
        return self.num_objects > 1 and self.object_size == self.size

    def normalised(self, mean: Sequence[float], std: Sequence[float]) -> "ImageSpec":
        """The same with :attr:`black`, by the mean and deviation of pixels in [0, 1].

        They are given for each channel of an object, or one for all.
        """
        black = tuple(-each / by for each, by in zip(mean, std, strict=True))
        return replace(self, black=black * (self.channels // len(black)))


@dataclass(frozen=True)
class SeriesSpec(DatasetSpec):
    """Series of so many steps; ``columns`` names their channels, ``unit`` a step's length.

    A column ``mask->x`` says where column ``x`` was measured. Where series have
    ``unequal_lengths``, ``size`` is the longest one's, and a network is told where each is over.
    """

    size: tuple[int]
    columns: tuple[str, ...] = ()
    unit: str = "hours"
    examples: str = "series"
    unequal_lengths: bool = False


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    return list(value) if isinstance(value, tuple) else value


def spec_from_plain(plain: Mapping[str, Any]) -> DatasetSpec:
    """The inverse of :meth:`DatasetSpec.to_plain`."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in plain.items()
        if key != "kind"
    }
    values["task"] = Task[values["task"]]
    return (SeriesSpec if plain["kind"] == "series" else ImageSpec)(**values)

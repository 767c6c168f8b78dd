"""A user's own images."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stnlab.data.spec import DatasetSpec, ImageSpec, Task
from stnlab.datasets.own import OwnData
from stnlab.parts import ImageDataset, add_dataset
from stnlab.rules import MAX_WIDTH, require

if TYPE_CHECKING:
    from stnlab.data.image_batches import ImageParts
    from stnlab.data.images.source import ImageSource
    from stnlab.schema import ExperimentConfig


class Color(Enum):
    """How many channels an image has."""

    auto = "auto"  # as the first image has them, and all must be alike
    grey = "grey"  # 1
    rgb = "rgb"  # 3


@add_dataset("images")
@dataclass
class Images(OwnData, ImageDataset):
    """Images of a user's own in ``root``, by class. See :mod:`stnlab.data.images.layouts`."""

    layouts: ClassVar[str] = (
        "train/ and test/ with a folder of images for each class; a folder for each class alone, "
        "which is split by dataset.seed; IDX files named as Fashion-MNIST's "
        "(train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-…); or an .npz with x and "
        "y, or x_train, y_train, x_test, y_test"
    )

    size: list[int] | None = None  # [height, width], to which all are resized; null: as they are
    color: Color = Color.auto

    def spec(self) -> ImageSpec:
        source = self._source()
        return ImageSpec(
            Task.multiclass,
            channels=self._channels(source),
            size=self._size or source.size,
            num_classes=len(source.classes),
            classes=source.classes,
        )

    def load(self) -> "ImageParts":
        """Read all pixels, and hold out what is tested on and what an epoch is chosen by.

        Both are held out class by class, by ``seed`` alone. Mean and deviation are of the training
        part.
        """
        import torch

        from stnlab.data.image_batches import Examples, ImageParts
        from stnlab.data.labels import require_fits, split

        source, channels = self._source(), self._channels(self._source())
        height, width = self._size or source.size
        number = sum(len(each) for each in source.labels.values())
        require_fits(
            number * channels * height * width,
            f"{number:,} images of {channels}x{height}x{width}",
            "Set a smaller dataset.size=[height,width].",
        )
        pixels = {
            part: torch.from_numpy(
                source.read(part, channels, self._size, self.color is Color.auto)
            )
            for part in source.labels
        }
        held = split(source.labels, self.val_size, self.test_size, self.seed)
        parts = {
            part: Examples(
                pixels[of],
                torch.from_numpy(places)[:, None],
                torch.from_numpy(source.labels[of][places]),
            )
            for part, (of, places) in held.items()
        }
        mean, std = parts["train"].statistics()
        of, places = held["test"]
        names = source.names(of)
        return ImageParts(
            name=f"images in {self.place}",
            train=parts["train"],
            val=parts["val"],
            test=parts["test"],
            mean=mean,
            std=std,
            sha256=self.checksums().get("sha256", ""),
            test_names=tuple(names[place] for place in places),
        )

    def checksums(self) -> dict[str, str]:
        return self.kept_checksums(
            lambda: ((source := self._source()).files, [Path(str(self.root)), *source.folders])
        )

    def _source(self) -> "ImageSource":
        from stnlab.data.images.layouts import open_source

        root = self.check_keys()
        require(
            self.size is None
            or (len(self.size) == 2 and all(1 <= each <= MAX_WIDTH for each in self.size)),
            "dataset.size",
            self.size,
            "null, or [height, width] in pixels",
        )
        return open_source(root, self.layouts)

    def _channels(self, source: "ImageSource") -> int:
        return {Color.auto: source.channels, Color.grey: 1, Color.rgb: 3}[self.color]

    @property
    def _size(self) -> tuple[int, int] | None:
        return None if self.size is None else (self.size[0], self.size[1])

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        from stnlab.data.labels import quotas

        quotas(self._source().labels, self.val_size, self.test_size)

"""A user's own images."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec, ImageSpec, Task
from stnlab.errors import UserError
from stnlab.parts import ImageDataset, add_dataset
from stnlab.rules import MAX_WIDTH, require, require_path, require_seed

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
class Images(ImageDataset):
    """Images of a user's own in ``root``, by class. See :mod:`stnlab.data.images.source`."""

    size: list[int] | None = None  # [height, width], to which all are resized; null: as they are
    color: Color = Color.auto
    val_size: int | float | None = None  # count or share held out of training; null: 0.1
    test_size: int | float | None = None  # the same for the test; null: 0.2, or the data's own
    seed: int = 0  # of what is held out and of the test distortions; not the run's seed

    def spec(self) -> ImageSpec:
        self._check_keys()
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
            name=f"images in {Path(str(self.root)).resolve().name}",
            train=parts["train"],
            val=parts["val"],
            test=parts["test"],
            mean=mean,
            std=std,
            sha256=self.checksums().get("sha256", ""),
            test_names=tuple(names[place] for place in places),
        )

    def checksums(self) -> dict[str, str]:
        from stnlab.data import checksum

        try:
            source, root = self._source(), Path(str(self.root))
        except UserError:
            return {}
        folder = root if root.is_dir() else root.parent
        return checksum.kept(
            folder,
            f"images of {root.name}",
            [root, *source.folders],
            lambda: {"sha256": checksum.of_files(folder, source.files)},
        )

    def _source(self) -> "ImageSource":
        from stnlab.data.images.source import LAYOUTS, open_source

        if self.root is None:
            raise UserError(
                f"dataset.root has no value, and dataset={self.name} has none of its own: name a "
                f"folder. It may hold {LAYOUTS}."
            )
        return open_source(self.root)

    def _channels(self, source: "ImageSource") -> int:
        return {Color.auto: source.channels, Color.grey: 1, Color.rgb: 3}[self.color]

    @property
    def _size(self) -> tuple[int, int] | None:
        return None if self.size is None else (self.size[0], self.size[1])

    def _check_keys(self) -> None:
        """What must be right before anything is read."""
        from stnlab.data.labels import check_size

        if self.root is not None:
            require_path("dataset.root", self.root)
        size = self.size
        require(
            size is None or (len(size) == 2 and all(1 <= each <= MAX_WIDTH for each in size)),
            "dataset.size",
            size,
            "null, or [height, width] in pixels",
        )
        check_size("dataset.val_size", self.val_size)
        check_size("dataset.test_size", self.test_size)
        require_seed("dataset.seed", self.seed)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        from stnlab.data.labels import quotas

        quotas(self._source().labels, self.val_size, self.test_size)

"""A user's own series."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from stnlab.data.spec import DatasetSpec, SeriesSpec, Task
from stnlab.errors import UserError
from stnlab.parts import SeriesDataset, add_dataset
from stnlab.rules import require, require_path, require_seed

if TYPE_CHECKING:
    from stnlab.data.series.source import SeriesSource
    from stnlab.data.series_batches import SeriesParts
    from stnlab.schema import ExperimentConfig


@add_dataset("series")
@dataclass
class Series(SeriesDataset):
    """Series of a user's own in ``root``, by class. See :mod:`stnlab.data.series.source`."""

    circumstances: ClassVar[tuple[str, ...]] = ("root", "shown_variable", "unit")

    val_size: int | float | None = None  # count or share held out of training; null: 0.1
    test_size: int | float | None = None  # the same for the test; null: 0.2, or the data's own
    unit: str = "steps"  # what a step is, in figures
    seed: int = 0  # of what is held out; not the run's seed

    def spec(self) -> SeriesSpec:
        self._check_keys()
        source = self._source()
        return SeriesSpec(
            Task.multiclass,
            channels=len(source.channels),
            size=(source.num_steps,),
            num_classes=len(source.classes),
            columns=source.channels,
            classes=source.classes,
            unit=self.unit,
        )

    def load(self) -> "SeriesParts":
        """Standardise by the training part, fill what is missing, and hold out the other parts."""
        from stnlab.data.labels import split
        from stnlab.data.series_batches import Part, SeriesParts

        source = self._source()
        held = split(source.labels, self.val_size, self.test_size, self.seed)
        mean, std = source.statistics(held["train"][1])
        inputs = {part: source.inputs(part, mean, std) for part in source.labels}
        parts = {
            part: Part.of(
                inputs[of][places],
                source.labels[of][places],
                [source.parts[of].names[place] for place in places],
            )
            for part, (of, places) in held.items()
        }
        return SeriesParts(
            name=f"series in {Path(str(self.root)).resolve().name}",
            train=parts["train"],
            val=parts["val"],
            test=parts["test"],
            columns=source.channels,
            scale={
                name: (float(mean[place]), float(std[place]))
                for place, name in enumerate(source.columns)
            },
            sha256=self.checksums().get("sha256", ""),
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
            f"series of {root.name}",
            source.files,
            lambda: {"sha256": checksum.of_files(folder, source.files)},
        )

    def _source(self) -> "SeriesSource":
        from stnlab.data.series.source import LAYOUTS, open_source

        if self.root is None:
            raise UserError(
                f"dataset.root has no value, and dataset={self.name} has none of its own: name a "
                f"folder. It may hold {LAYOUTS}."
            )
        return open_source(self.root)

    def _check_keys(self) -> None:
        """What must be right before anything is read."""
        from stnlab.data.labels import check_size

        if self.root is not None:
            require_path("dataset.root", self.root)
        check_size("dataset.val_size", self.val_size)
        check_size("dataset.test_size", self.test_size)
        require(
            self.unit.strip() != "" and self.unit.isprintable(), "dataset.unit", self.unit, "a word"
        )
        require_seed("dataset.seed", self.seed)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        from stnlab.data.labels import quotas

        quotas(self._source().labels, self.val_size, self.test_size)

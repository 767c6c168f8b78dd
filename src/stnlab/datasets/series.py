"""A user's own series."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from stnlab.data.spec import DatasetSpec, SeriesSpec
from stnlab.datasets.own import OwnData
from stnlab.parts import SeriesDataset, add_dataset
from stnlab.rules import require

if TYPE_CHECKING:
    from stnlab.data.series.source import SeriesSource
    from stnlab.data.series_batches import SeriesParts
    from stnlab.schema import ExperimentConfig


@add_dataset("series")
@dataclass
class Series(OwnData, SeriesDataset):
    """Series of a user's own in ``root``, by class. See :mod:`stnlab.data.series.layouts`."""

    layouts: ClassVar[str] = (
        "NAME_TRAIN.ts and NAME_TEST.ts, as UCR and UEA have them; train.npz and test.npz, or one "
        ".npz, which is split by dataset.seed, with x (N, channels, steps) and y (N,); or "
        "train.csv and test.csv, or one .csv, with the columns id, time, variable, value and label"
    )

    circumstances: ClassVar[tuple[str, ...]] = ("root", "shown_variable", "unit")

    unit: str = "steps"  # what a step is, in figures
    # A shorter series is over at its end; else it is filled up, as if it had not been measured.
    keep_lengths: bool = False

    def spec(self) -> SeriesSpec:
        return self._source().spec(self.unit)

    def load(self) -> "SeriesParts":
        """Standardise by the training part, fill what is missing, and hold out the other parts."""
        from stnlab.data.labels import split

        source = self._source()
        return source.series_parts(
            split(source.labels, self.val_size, self.test_size, self.seed),
            name=f"series in {self.place}",
            sha256=self.checksums().get("sha256", ""),
        )

    def checksums(self) -> dict[str, str]:
        return self.kept_checksums(lambda: ((files := self._source().files), files))

    def _source(self) -> "SeriesSource":
        from stnlab.data.series.layouts import open_source

        root = self.check_keys()
        require(
            self.unit.strip() != "" and self.unit.isprintable(), "dataset.unit", self.unit, "a word"
        )
        source = open_source(root, self.layouts)
        return source.keeping_lengths() if self.keep_lengths else source

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        from stnlab.data.labels import quotas

        quotas(self._source().labels, self.val_size, self.test_size)

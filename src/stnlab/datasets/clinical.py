"""What datasets of intensive care share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from stnlab.parts import SeriesDataset

if TYPE_CHECKING:
    from stnlab.folder import RunFolder
    from stnlab.run.experiment import Experiment
    from stnlab.schema import ExperimentConfig


@dataclass
class ClinicalDataset(SeriesDataset):
    """Hourly series of 48 hours in intensive care; the target is death in hospital."""

    has_challenge_scores: ClassVar[bool] = False  # those of PhysioNet's challenge of 2012

    def experiment(self, config: "ExperimentConfig", folder: "RunFolder") -> "Experiment":
        from stnlab.run.clinical import ClinicalExperiment

        return ClinicalExperiment(config, folder)

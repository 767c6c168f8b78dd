"""The type of every key that is no part's: a run's, a sweep's, a study's. Values are in ``conf/``.

Importing this module costs nothing: neither torch nor Lightning is needed to check a config. What
the config groups offer is in :mod:`stnlab.parts` and where that says.
"""

from dataclasses import dataclass, field
from enum import Enum

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from stnlab import parts
from stnlab.parts import (
    DatasetPart,
    DistortionPart,
    InitPart,
    ModelPart,
    OptimizerPart,
    PaddingPart,
    SchedulePart,
    WarpPart,
)

parts.load_own()


@dataclass
class TrainerConfig:
    """Lightning's Trainer arguments, under Lightning's names; the last two are the house's."""

    max_epochs: int = 10
    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    limit_train_batches: int | float = 1.0
    limit_val_batches: int | float = 1.0
    limit_test_batches: int | float = 1.0
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str | None = None
    deterministic: bool = False
    benchmark: bool | None = None
    detect_anomaly: bool = False
    profiler: str | None = None
    log_every_n_steps: int = 100
    enable_progress_bar: bool = True
    enable_figures: bool = True  # false: none is drawn, which spares a run some seconds
    keep_epochs: bool = False  # keep the weights of each epoch, 0 being the start


@dataclass
class ExperimentConfig:
    """One run. ``warp``, ``init`` and ``padding`` do not apply to a model without a transformer."""

    dataset: DatasetPart = MISSING
    distortion: DistortionPart = MISSING
    model: ModelPart = MISSING
    warp: WarpPart = MISSING
    init: InitPart = MISSING
    padding: PaddingPart = MISSING
    optimizer: OptimizerPart = MISSING
    schedule: SchedulePart = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = 0
    name: str | None = None
    cell: str | None = None
    output_dir: str = "outputs"
    overwrite: bool = False
    num_threads: int = 1
    init_from: str | None = None


class ClaimKind(Enum):
    """How a claim is put to the test."""

    paired = "paired"  # the first cell of a pair has the higher accuracy, over the seeds they share
    robustness = "robustness"  # the same, at every point of the robustness curves
    patients = "patients"  # the same over resampled patients, the mean over seeds for each
    rates = "rates"  # the first cell's runs collapse less often


OVER_PATIENTS = ("auroc", "auprc")  # how a metric ends that a claim of kind patients can be about


@dataclass
class ClaimConfig:
    """A sentence of the document, and the pairs of cells that decide it."""

    text: str = MISSING
    kind: ClaimKind = MISSING
    pairs: list[list[str]] = MISSING  # [cell said to be better, cell said to be worse]
    metric: str | None = None  # of metrics.json; null: the dataset's main one
    margin: float = 0.0  # by which the first cell may be worse and the claim still hold (0.005: ½%)


@dataclass
class RowsConfig:
    """A grid whose cells go by a name of the study's own, and by what differs between them."""

    name: str = MISSING
    grid: str = MISSING  # as on the command line


@dataclass
class StudyConfig:
    """A preset grid that reproduces one table or figure."""

    name: str = MISSING
    question: str = MISSING
    source: str = ""  # where the document says it
    metric: str | None = None  # of metrics.json, the main one; null: the dataset's
    grids: list[str] = field(default_factory=list)  # as on the command line; all are run
    rows: list[RowsConfig] = field(default_factory=list)  # grids under names of their own
    parts: list[str] = field(default_factory=list)  # instead of grids and rows: other studies
    seeds: list[int] = field(default_factory=list)  # where the command line has none; empty: its 5
    claims: list[ClaimConfig] = field(default_factory=list)
    beside_published: bool = True  # false: its runs are others', trained for an epoch, say


@dataclass
class SweepConfig(ExperimentConfig):
    """Many runs: a study's grid or the command line's, over seeds."""

    study: StudyConfig | None = None
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    dry_run: bool = False


def register() -> None:
    """Make these schemas known to Hydra, as the group ``schema``; parts make themselves known."""
    store = ConfigStore.instance()
    store.store(group="schema", name="experiment", node=ExperimentConfig, package="_global_")
    store.store(group="schema", name="sweep", node=SweepConfig, package="_global_")
    store.store(group="schema", name="study", node=StudyConfig)
    store.store(group="schema/trainer", name="lightning", node=TrainerConfig)

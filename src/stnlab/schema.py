"""The type of every config key. The values are in ``conf/``, the rules that join keys in
:mod:`stnlab.config.validation`.

Importing this module costs nothing: neither torch nor Lightning is needed to check a config.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


class Layout(Enum):
    """How the digits of one example lie in its input."""

    single = "single"  # one digit, 1x28x28, 10 classes
    two_channel = "two_channel"  # two digits, 2x28x28, 19 sums
    same_image = "same_image"  # two digits, 1x28x56, 19 sums


class Backend(Enum):
    """What distorts the digits."""

    tensor = "tensor"  # a batch at a time, on the run's device
    pil = "pil"  # an image at a time, with PIL: the reference, slow


class InitScheme(Enum):
    """What the last layer of the localization network starts from."""

    fixed = "fixed"  # weight 0, bias theta
    gaussian = "gaussian"  # weight 0, bias from the standard Gaussian
    torch_default = "torch_default"  # weight and bias as PyTorch draws them


class PaddingMode(Enum):
    """What a sampling point outside the image reads."""

    zeros = "zeros"
    border = "border"


@dataclass
class DatasetConfig:
    """What every dataset has."""

    name: str = MISSING
    root: str | None = None  # folder of the data; null: what the project ships
    batch_size: int = 64


@dataclass
class DigitsConfig(DatasetConfig):
    """MNIST digits, alone or in pairs."""

    layout: Layout = MISSING
    val_size: int = 5000  # training images held out for validation; 0: none
    permutations: int = 2  # pairs: 2 gives SEED's published 2N-1 pairs, 1 its text's N-1
    seed: int = 0  # the held-out images, the pairs and the test distortions; not the run's seed


class Source(Enum):
    """Where the episodes of the MIMIC-III benchmark come from."""

    files = "files"  # the benchmark's folder, which the user has made
    synthetic = "synthetic"  # generated here, with a planted warp; no patients


class Imputation(Enum):
    """What stands for a value that was not measured; the benchmark's rules and names."""

    previous = "previous"
    next = "next"
    zero = "zero"
    normal_value = "normal_value"


class TestSet(Enum):
    """The part of the PhysioNet 2012 challenge that is tested on."""

    b = "b"
    c = "c"


@dataclass
class SeriesConfig(DatasetConfig):
    """Hourly series of 48 hours in intensive care; the target is death in hospital."""

    shown_variable: str = MISSING  # the one that figures show before and after the warp


@dataclass
class MimicConfig(SeriesConfig):
    """The MIMIC-III benchmark's episodes, or synthetic ones in their form."""

    source: Source = Source.files
    imputation: Imputation = Imputation.previous
    num_train: int = 2000  # this and what follows: source=synthetic alone
    num_val: int = 500
    num_test: int = 1000
    mortality: float = 0.3
    seed: int = 0  # of the generator; not the run's seed


@dataclass
class Physionet2012Config(SeriesConfig):
    """Stays of the PhysioNet/Computing in Cardiology Challenge 2012."""

    test_set: TestSet = TestSet.b
    val_size: int = 800  # stays of set a held out for validation
    download: bool = False  # true: fetch what is missing from physionet.org
    seed: int = 0  # of the held-out stays; not the run's seed


@dataclass
class DistortionConfig:
    """Ranges of the random distortion; each is uniform in +/- the amount."""

    rotation: float = 0.0  # degrees
    translation: float = 0.0  # fraction of the width, on each axis
    scale: float = 0.0  # isotropic, uniform in 1 +/- amount
    backend: Backend = Backend.tensor


@dataclass
class ClassifierConfig:
    """Two convolutions and two fully connected layers."""

    channels: list[int] = MISSING
    kernel_size: int = MISSING
    hidden: int = MISSING
    dropout: float = MISSING


@dataclass
class LocalizationConfig:
    """The network that predicts theta."""

    channels: list[int] = MISSING
    kernel_sizes: list[int] = MISSING
    hidden: int = MISSING
    lr: float | None = None


@dataclass
class ModelConfig:
    """What every model has."""

    name: str = MISSING


@dataclass
class FcnConfig(ModelConfig):
    hidden: list[int] = MISSING
    dropout: float = MISSING


@dataclass
class CnnConfig(ModelConfig):
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)


@dataclass
class StnConfig(CnnConfig):
    localization: LocalizationConfig = field(default_factory=LocalizationConfig)
    # True: -1 and 1 are the centres of the outermost pixels, PyTorch's only behaviour when SEED was
    # written (0.3); False: their outer edges, PyTorch's default since 1.3.
    align_corners: bool = True

    def num_predicted_thetas(self, channels: int, num_objects: int) -> int:  # noqa: ARG002  # for the subclass
        """How many thetas one pass of the localization network predicts, for such an input."""
        return 1


@dataclass
class MultiStnConfig(StnConfig):
    def num_predicted_thetas(self, channels: int, num_objects: int) -> int:
        """Crops of one image come from one pass; separate channels go through one by one."""
        return num_objects if channels == 1 else 1


@dataclass
class TsStnConfig(StnConfig):
    """One warp of time, and a slope and an offset of the values."""


@dataclass
class LstmConfig(ModelConfig):
    hidden: int = MISSING
    num_layers: int = MISSING
    dropout: float = MISSING


@dataclass
class LogisticConfig(ModelConfig):
    pass


@dataclass
class TimeInRangeConfig(ModelConfig):
    knots: list[float] = MISSING  # where the ranges of a standardised value end, rising
    hidden: int = MISSING
    input_dropout: float = MISSING
    dropout: float = MISSING


@dataclass
class InitConfig:
    name: str = MISSING
    scheme: InitScheme = MISSING
    theta: list[list[float]] | None = (
        None  # scheme fixed: a row for each transformer, or one for all
    )


@dataclass
class PaddingConfig:
    mode: PaddingMode = MISSING


@dataclass
class AdamConfig:
    lr: float = MISSING
    betas: tuple[float, float] = MISSING
    eps: float = MISSING
    weight_decay: float = MISSING
    amsgrad: bool = MISSING


@dataclass
class TrainerConfig:
    """Lightning's Trainer arguments, under Lightning's names."""

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


@dataclass
class ExperimentConfig:
    """One run. ``init`` and ``padding`` do not apply to a model without a transformer."""

    dataset: DatasetConfig = MISSING
    distortion: DistortionConfig = field(default_factory=DistortionConfig)
    model: ModelConfig = MISSING
    init: InitConfig = field(default_factory=InitConfig)
    padding: PaddingConfig = field(default_factory=PaddingConfig)
    optimizer: AdamConfig = field(default_factory=AdamConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = 0
    name: str | None = None
    cell: str | None = None
    output_dir: str = "outputs"
    overwrite: bool = False
    num_threads: int = 1


class ClaimKind(Enum):
    """How a claim is put to the test."""

    paired = "paired"  # the first cell of a pair has the higher accuracy, over the seeds they share
    robustness = "robustness"  # the same, at every point of the robustness curves
    patients = "patients"  # the same over resampled patients, the mean over seeds for each


@dataclass
class ClaimConfig:
    """A sentence of the document, and the pairs of cells that decide it."""

    text: str = MISSING
    kind: ClaimKind = MISSING
    pairs: list[list[str]] = MISSING  # [cell said to be better, cell said to be worse]
    metric: str | None = None  # of metrics.json; null: the dataset's main one


@dataclass
class StudyConfig:
    """A preset grid that reproduces one table or figure."""

    name: str = MISSING
    question: str = MISSING
    source: str = ""  # where the document says it
    grids: list[str] = field(default_factory=list)  # as on the command line; all are run
    parts: list[str] = field(default_factory=list)  # instead of grids: other studies
    claims: list[ClaimConfig] = field(default_factory=list)


@dataclass
class SweepConfig(ExperimentConfig):
    """Many runs: a study's grid or the command line's, over seeds."""

    study: StudyConfig | None = None
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    dry_run: bool = False


SCHEMAS: dict[str, Any] = {
    "experiment": ExperimentConfig,
    "sweep": SweepConfig,
    "study": StudyConfig,
    "digits": DigitsConfig,
    "mimic": MimicConfig,
    "physionet2012": Physionet2012Config,
    "fcn": FcnConfig,
    "cnn": CnnConfig,
    "stn": StnConfig,
    "multi_stn": MultiStnConfig,
    "ts_stn": TsStnConfig,
    "lstm": LstmConfig,
    "logistic": LogisticConfig,
    "time_in_range": TimeInRangeConfig,
}


def register() -> None:
    """Make the schemas known to Hydra, as the group ``schema``."""
    store = ConfigStore.instance()
    for name, node in SCHEMAS.items():
        package = "_global_" if name in ("experiment", "sweep") else None
        store.store(group="schema", name=name, node=node, package=package)

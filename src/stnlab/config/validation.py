"""The rules that a type cannot say: ranges, and which choices go together.

Nothing is loaded before a config has passed here.
"""

import math
import re
from itertools import pairwise

from stnlab.config.trust import require_plain_study
from stnlab.data.spec import ImageSpec, SeriesSpec, dataset_spec
from stnlab.errors import UserError, did_you_mean
from stnlab.schema import (
    CnnConfig,
    DigitsConfig,
    ExperimentConfig,
    FcnConfig,
    InitScheme,
    Layout,
    LogisticConfig,
    LstmConfig,
    MimicConfig,
    MultiStnConfig,
    Physionet2012Config,
    SeriesConfig,
    StnConfig,
    SweepConfig,
    TimeInRangeConfig,
    TsStnConfig,
)

NUM_TRAIN_IMAGES = 60_000
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("32-true", "32", "64-true", "64", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
PROFILERS = ("simple", "advanced", "pytorch", "xla")
THETA_SIZE = 6
_NUM_STAYS_OF_SET_A = 4_000
_MAX_FLOAT32 = 3.4e38
# Far above what can be of use, and below what overflows in a library.
_MAX_WIDTH = 65_536
_MAX_COUNT = 1_000_000_000
_MAX_EPOCHS = 1_000_000
_MAX_THREADS = 1024
_MAX_LAYERS = 100
_MAX_SYNTHETIC = 200_000  # episodes of a part; each has 15 kB
_MAX_SHOWN = 200  # characters of a value in a message


def validate(config: ExperimentConfig) -> None:
    """Refuse a config that makes no sense.

    Raises:
        UserError: naming the key, what was found, what is allowed, and what to do.
    """
    _validate_run(config)
    _validate_dataset(config)
    _validate_model(config)
    if isinstance(config.model, StnConfig):
        _validate_init(config, config.model)


def validate_sweep(config: SweepConfig) -> None:
    """Refuse what makes no sense of a sweep's own keys; each of its runs is validated by itself.

    Raises:
        UserError: naming the key, what was found, what is allowed, and what to do.
    """
    seeds = list(config.seeds)
    _require(
        len(seeds) >= 1 and len(set(seeds)) == len(seeds) and all(0 <= s < 2**32 for s in seeds),
        "seeds",
        seeds,
        "different seeds of 0 to 4294967295, as in seeds=[0,1,2,3,4]",
    )
    _require_place(config)
    if config.study is not None:
        _require_folder_name("study.name", config.study.name)
        require_plain_study(config.study)


def _require(condition: bool, key: str, found: object, allowed: str, remedy: str = "") -> None:
    if not condition:
        shown = f"'{found}'" if isinstance(found, str) and found.isprintable() else repr(found)
        shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"
        raise UserError(f"{key} is {shown}; allowed: {allowed}.{' ' + remedy if remedy else ''}")


def _require_count(key: str, found: int, at_most: int) -> None:
    _require(1 <= found <= at_most, key, found, f"1 or more, at most {at_most}")


def _validate_run(config: ExperimentConfig) -> None:
    trainer, optimizer = config.trainer, config.optimizer
    _require(0 <= config.seed < 2**32, "seed", config.seed, "0 to 4294967295")
    _require_count("num_threads", config.num_threads, _MAX_THREADS)
    _require_place(config)
    _require_count("trainer.max_epochs", trainer.max_epochs, _MAX_EPOCHS)
    _require(
        trainer.devices == 1,
        "trainer.devices",
        trainer.devices,
        "1",
        "One run uses one device; side by side, several runs use several.",
    )
    _require_one_of("trainer.accelerator", trainer.accelerator, ACCELERATORS)
    _require_one_of("trainer.precision", trainer.precision, PRECISIONS)
    clip, algorithm = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
    _require(clip is None or clip > 0, "trainer.gradient_clip_val", clip, "null or above 0")
    _require(
        algorithm in (None, "norm", "value"),
        "trainer.gradient_clip_algorithm",
        algorithm,
        "null, norm, value",
    )
    for part in ("train", "val", "test"):
        key = f"limit_{part}_batches"
        limit = getattr(trainer, key)
        allowed = "a share in (0, 1] or a number of batches of 1 or more"
        is_share = isinstance(limit, float)
        is_allowed = 0 < limit <= 1 if is_share else 1 <= limit <= _MAX_COUNT
        _require(is_allowed, f"trainer.{key}", limit, allowed)
    _require_count("trainer.log_every_n_steps", trainer.log_every_n_steps, _MAX_COUNT)
    _require(
        trainer.profiler is None or trainer.profiler.lower() in PROFILERS,
        "trainer.profiler",
        trainer.profiler,
        f"null, {', '.join(PROFILERS)}",
    )
    _require(
        math.isfinite(optimizer.lr) and optimizer.lr > 0, "optimizer.lr", optimizer.lr, "above 0"
    )
    _require(
        len(optimizer.betas) == 2 and all(0 <= beta < 1 for beta in optimizer.betas),
        "optimizer.betas",
        list(optimizer.betas),
        "two numbers in [0, 1)",
    )
    _require(0 < optimizer.eps < math.inf, "optimizer.eps", optimizer.eps, "above 0")
    _require(
        0 <= optimizer.weight_decay < math.inf,
        "optimizer.weight_decay",
        optimizer.weight_decay,
        "0 or more",
    )


def _require_place(config: ExperimentConfig) -> None:
    """The keys that make a folder of a run or a sweep."""
    if config.name is not None:
        _require_folder_name("name", config.name)
    if config.cell is not None:
        _require_folder_name("cell", config.cell)
    _require(config.output_dir.strip() != "", "output_dir", config.output_dir, "a folder")
    _require_path("output_dir", config.output_dir)


def _require_path(key: str, value: str) -> None:
    is_one = "\0" not in value and value == value.encode(errors="replace").decode()
    _require(is_one, key, value, "a path that the system can have")


def _require_folder_name(key: str, value: str) -> None:
    _require(
        re.fullmatch(r"[^/\\]+", value) is not None
        and value.strip(". ") != ""
        and value.isprintable()
        and len(value.encode()) <= 200,
        key,
        value,
        "a folder's name, printable, without '/' or '\\', at most 200 bytes",
    )


def _require_one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    _require(value in allowed, key, value, ", ".join(allowed))


def _validate_dataset(config: ExperimentConfig) -> None:
    dataset, distortion = config.dataset, config.distortion
    _require_folder_name("dataset.name", dataset.name)
    if dataset.root is not None:
        _require_path("dataset.root", dataset.root)
    _require_count("dataset.batch_size", dataset.batch_size, _MAX_COUNT)
    if isinstance(dataset, DigitsConfig):
        _require(
            0 <= dataset.val_size <= NUM_TRAIN_IMAGES - 2,
            "dataset.val_size",
            dataset.val_size,
            f"0 to {NUM_TRAIN_IMAGES - 2}",
            f"It is held out of MNIST's {NUM_TRAIN_IMAGES} training images.",
        )
        is_pair = dataset.layout is not Layout.single
        _require(
            not (is_pair and dataset.val_size == 1),
            "dataset.val_size",
            dataset.val_size,
            "0, or 2 and more: a pair takes two images",
        )
        _require(
            dataset.permutations in (1, 2),
            "dataset.permutations",
            dataset.permutations,
            "2 (SEED's published numbers: 2N-1 pairs) or 1 (SEED's text: N-1 pairs)",
        )
        _require(0 <= dataset.seed < 2**32, "dataset.seed", dataset.seed, "0 to 4294967295")
    if isinstance(dataset, SeriesConfig):
        _validate_series(dataset)
        for key in ("rotation", "translation", "scale"):
            _require(
                getattr(distortion, key) == 0,
                f"distortion.{key}",
                getattr(distortion, key),
                f"0 for dataset={dataset.name}",
                "Only digits are distorted.",
            )
    _require(
        0 <= distortion.rotation <= 180,
        "distortion.rotation",
        distortion.rotation,
        "0 to 180 degrees",
    )
    _require(
        0 <= distortion.translation <= 1,
        "distortion.translation",
        distortion.translation,
        "0 to 1 (fraction of the width)",
    )
    _require(
        0 <= distortion.scale < 1,
        "distortion.scale",
        distortion.scale,
        "0 to below 1 (the scale is uniform in 1 +/- this)",
    )


def _validate_series(dataset: SeriesConfig) -> None:
    spec = dataset_spec(dataset)
    assert isinstance(spec, SeriesSpec)
    known = [name for name in spec.columns if "->" not in name]
    if dataset.shown_variable not in known:
        raise UserError(
            f"dataset.shown_variable is '{dataset.shown_variable}', which is no continuous column "
            f"of dataset={dataset.name}.{did_you_mean(dataset.shown_variable, known)} Allowed: "
            f"{', '.join(known)}."
        )
    if isinstance(dataset, Physionet2012Config):
        _require(
            1 <= dataset.val_size < _NUM_STAYS_OF_SET_A,
            "dataset.val_size",
            dataset.val_size,
            f"1 to {_NUM_STAYS_OF_SET_A - 1}",
            f"It is held out of the {_NUM_STAYS_OF_SET_A} stays of set a.",
        )
    if isinstance(dataset, MimicConfig):
        for key in ("num_train", "num_val", "num_test"):
            found = getattr(dataset, key)
            _require(
                2 <= found <= _MAX_SYNTHETIC,
                f"dataset.{key}",
                found,
                f"2 or more, a death and a survivor; at most {_MAX_SYNTHETIC}",
            )
        _require(
            0 < dataset.mortality < 1,
            "dataset.mortality",
            dataset.mortality,
            "above 0 and below 1",
        )
    if isinstance(dataset, MimicConfig | Physionet2012Config):
        _require(0 <= dataset.seed < 2**32, "dataset.seed", dataset.seed, "0 to 4294967295")


def _validate_model(config: ExperimentConfig) -> None:
    model, spec = config.model, dataset_spec(config.dataset)
    _require_folder_name("model.name", model.name)
    _require_kind(config)
    if isinstance(model, MultiStnConfig) and isinstance(spec, ImageSpec) and spec.num_objects < 2:
        raise UserError(
            f"model={model.name} does not go with dataset={config.dataset.name}: it warps each of "
            "two digits, and this dataset has one. Use model=stn, or a pair dataset "
            "(dataset=two-channel or dataset=same-image)."
        )
    if isinstance(model, FcnConfig):
        _require(
            1 <= len(model.hidden) <= _MAX_LAYERS
            and 1 <= min(model.hidden) <= max(model.hidden) <= _MAX_WIDTH,
            "model.hidden",
            list(model.hidden),
            f"one width of 1 or more for each layer, at most {_MAX_WIDTH}",
        )
        _require_dropout("model.dropout", model.dropout)
    if isinstance(model, CnnConfig):
        classifier = model.classifier
        _require_layers("model.classifier", classifier.channels, [classifier.kernel_size] * 2)
        _require_count("model.classifier.hidden", classifier.hidden, _MAX_WIDTH)
        _require_dropout("model.classifier.dropout", classifier.dropout)
        size = spec.size
        if isinstance(model, MultiStnConfig) and isinstance(spec, ImageSpec):
            size = spec.object_size
        _require_fit("model.classifier.kernel_size", [classifier.kernel_size] * 2, size)
    if isinstance(model, StnConfig):
        localization = model.localization
        _require_layers("model.localization", localization.channels, localization.kernel_sizes)
        _require_count("model.localization.hidden", localization.hidden, _MAX_WIDTH)
        rate = localization.lr
        _require(
            rate is None or (math.isfinite(rate) and rate > 0),
            "model.localization.lr",
            rate,
            "null (as optimizer.lr) or above 0",
        )
        _require_fit("model.localization.kernel_sizes", localization.kernel_sizes, spec.size)
    if isinstance(model, TimeInRangeConfig):
        _validate_time_in_range(model)
    if isinstance(model, LstmConfig):
        _require_count("model.hidden", model.hidden, _MAX_WIDTH)
        _require_count("model.num_layers", model.num_layers, _MAX_LAYERS)
        _require_dropout("model.dropout", model.dropout)


def _validate_time_in_range(model: TimeInRangeConfig) -> None:
    knots = list(model.knots)
    rising = all(low < high for low, high in pairwise(knots))
    _require(
        len(knots) >= 2 and rising and all(map(math.isfinite, knots)),
        "model.knots",
        knots,
        "two or more finite numbers, each above the one before",
    )
    _require_count("model.hidden", model.hidden, _MAX_WIDTH)
    _require_dropout("model.input_dropout", model.input_dropout)
    _require_dropout("model.dropout", model.dropout)


def _require_kind(config: ExperimentConfig) -> None:
    """Models of series go with series, models of images with images."""
    model, dataset = config.model, config.dataset
    is_series = isinstance(dataset, SeriesConfig)
    needs_series = TsStnConfig | LstmConfig | LogisticConfig | TimeInRangeConfig
    if isinstance(model, needs_series) and not is_series:
        raise UserError(
            f"model={model.name} does not go with dataset={dataset.name}: it reads series of time, "
            "and these are images. Use model=stn or model=cnn, or a clinical dataset "
            "(dataset=mimic or dataset=physionet2012)."
        )
    if isinstance(model, StnConfig) and not isinstance(model, TsStnConfig) and is_series:
        raise UserError(
            f"model={model.name} does not go with dataset={dataset.name}: it warps images, and "
            "these are series of time. Use model=ts-stn, which warps time."
        )


def _require_dropout(key: str, value: float) -> None:
    _require(0 <= value < 1, key, value, "a probability in [0, 1)")


def _require_layers(key: str, channels: list[int], kernel_sizes: list[int]) -> None:
    _require(
        len(channels) == 2 and 1 <= min(channels) <= max(channels) <= _MAX_WIDTH,
        f"{key}.channels",
        list(channels),
        f"two numbers of 1 or more, at most {_MAX_WIDTH}",
    )
    _require(
        len(kernel_sizes) == 2 and min(kernel_sizes) >= 1,
        f"{key}.kernel_sizes",
        list(kernel_sizes),
        "two sizes of 1 or more",
    )


def _require_fit(key: str, kernel_sizes: list[int], size: tuple[int, ...]) -> None:
    """Two times convolution and pooling must leave at least one pixel, or hour."""
    is_image = len(size) == 2
    image = f"a pixel of an image of {size[0]}x{size[-1]}"
    shape = image if is_image else f"one of {size[0]} hours"
    for length in size:
        side = length
        for kernel_size in kernel_sizes:
            side = (side - kernel_size + 1) // 2
        _require(
            side >= 1, key, list(kernel_sizes), f"sizes that leave {shape}", "Use smaller kernels."
        )


def _validate_init(config: ExperimentConfig, model: StnConfig) -> None:
    init = config.init
    _require_folder_name("init.name", init.name)
    if init.scheme is not InitScheme.fixed:
        _require(
            init.theta is None,
            "init.theta",
            init.theta,
            f"null, because init.scheme={init.scheme.name} draws it",
        )
        return
    rows = init.theta or []
    _require(
        len(rows) >= 1 and all(len(row) == THETA_SIZE for row in rows),
        "init.theta",
        init.theta,
        "rows of 6 numbers [theta11, theta12, theta13, theta21, theta22, theta23]",
    )
    _require(
        all(abs(value) <= _MAX_FLOAT32 for row in rows for value in row),
        "init.theta",
        init.theta,
        "finite numbers",
    )
    spec = dataset_spec(config.dataset)
    if isinstance(model, TsStnConfig):
        if len(rows) != 1 or rows[0][:4] != [1.0, 0.0, 0.0, 0.0]:
            raise UserError(
                f"init={init.name} does not go with model={model.name}, which warps time alone: "
                f"init.theta is {init.theta}; allowed: one row [1, 0, 0, 0, theta22, theta23]. Use "
                "init=identity."
            )
        return
    assert isinstance(spec, ImageSpec)
    num_thetas = model.num_predicted_thetas(spec.channels, spec.num_objects)
    if len(rows) not in (1, num_thetas):
        raise UserError(
            f"init={init.name} does not go with dataset={config.dataset.name} and "
            f"model={model.name}: it sets {len(rows)} crops of one image, and this localization "
            f"network predicts {num_thetas}. Use init=identity, or dataset=same-image with "
            "model=multi-stn."
        )

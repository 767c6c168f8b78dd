"""The rules of a run and of a sweep; each part has its own (:mod:`stnlab.parts`).

Nothing is loaded before a config has passed here.
"""

import os
from collections.abc import Sequence

from stnlab.checkpoints import checkpoint_of
from stnlab.config.identity import folder
from stnlab.config.trust import require_plain_study
from stnlab.errors import UserError
from stnlab.files import readable
from stnlab.rules import (
    MAX_COUNT,
    require,
    require_count,
    require_folder_name,
    require_one_of,
    require_path,
    require_seed,
)
from stnlab.schema import OVER_PATIENTS, ClaimKind, ExperimentConfig, SweepConfig, TrainerConfig

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("32-true", "32", "64-true", "64", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
PROFILERS = ("simple", "advanced", "pytorch", "xla")
_MAX_EPOCHS = 1_000_000
_MAX_THREADS = 1024


def validate(config: ExperimentConfig) -> None:
    """Refuse a config that makes no sense.

    Raises:
        UserError: naming the key, what was found, what is allowed, and what to do.
    """
    require_seed("seed", config.seed)
    require_count("num_threads", config.num_threads, _MAX_THREADS)
    _require_place(config)
    _validate_trainer(config.trainer)
    with readable("dataset.root"):
        spec = config.dataset.spec()
    parts = [config.optimizer, config.schedule, config.dataset, config.distortion, config.model]
    if config.model.has_transformer:
        parts += [config.warp, config.init, config.padding]
    for part in parts:
        part.check(config, spec)
    _require_start(config)


def validate_sweep(config: SweepConfig) -> None:
    """Refuse what makes no sense of a sweep's own keys; each of its runs is validated by itself.

    Raises:
        UserError: naming the key, what was found, what is allowed, and what to do.
    """
    _require_seeds("seeds", config.seeds)
    _require_place(config)
    study = config.study
    if study is not None:
        require_folder_name("study.name", study.name)
        for rows in study.rows:
            require_folder_name("study.rows.name", rows.name)
        if study.seeds:
            _require_seeds("study.seeds", study.seeds)
        for claim in study.claims:
            is_about_scores = claim.kind in (ClaimKind.paired, ClaimKind.patients)
            require(
                0 <= claim.margin < 1 and (is_about_scores or not claim.margin),
                "study.claims.margin",
                claim.margin,
                "0 or more and less than 1, as 0.005 for half a point, where the claim's kind is "
                "paired or patients",
            )
            areas = claim.metric or study.metric or OVER_PATIENTS[0]
            require(
                claim.kind is not ClaimKind.patients or areas.endswith(OVER_PATIENTS),
                "study.claims.metric",
                areas,
                "where the claim's kind is patients, an area: test.auroc, test.auprc, "
                "best.test.auroc or best.test.auprc",
            )
        require_plain_study(study)


def _require_seeds(key: str, seeds: Sequence[int]) -> None:
    require(
        len(seeds) >= 1 and len(set(seeds)) == len(seeds) and all(0 <= s < 2**32 for s in seeds),
        key,
        list(seeds),
        "different seeds of 0 to 4294967295, as in seeds=[0,1,2,3,4]",
    )


def _validate_trainer(trainer: TrainerConfig) -> None:
    require_count("trainer.max_epochs", trainer.max_epochs, _MAX_EPOCHS)
    require(
        trainer.devices == 1,
        "trainer.devices",
        trainer.devices,
        "1",
        "One run uses one device; side by side, several runs use several.",
    )
    require_one_of("trainer.accelerator", trainer.accelerator, ACCELERATORS)
    require_one_of("trainer.precision", trainer.precision, PRECISIONS)
    clip, algorithm = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
    require(clip is None or clip > 0, "trainer.gradient_clip_val", clip, "null or above 0")
    require(
        clip is None or not trainer.precision.endswith("-mixed"),
        "trainer.gradient_clip_val",
        clip,
        f"null with trainer.precision={trainer.precision}",
        "Lightning clips no fused optimizer's gradients there. Use trainer.precision=32-true.",
    )
    require(
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
        is_allowed = 0 < limit <= 1 if is_share else 1 <= limit <= MAX_COUNT
        require(is_allowed, f"trainer.{key}", limit, allowed)
    require_count("trainer.log_every_n_steps", trainer.log_every_n_steps)
    require(
        trainer.profiler is None or trainer.profiler.lower() in PROFILERS,
        "trainer.profiler",
        trainer.profiler,
        f"null, {', '.join(PROFILERS)}",
    )


def _require_start(config: ExperimentConfig) -> None:
    """Weights to start from, which are not those of the run itself."""
    if config.init_from is None:
        return
    require_path("init_from", config.init_from)
    checkpoint, own = checkpoint_of(config.init_from), folder(config)
    if not os.path.isfile(checkpoint):  # noqa: PTH113  # see checkpoint_of
        raise UserError(
            f"init_from is '{config.init_from}', but there is no {checkpoint}. Name the folder of "
            "a run, whose last weights are taken, or a checkpoint, as "
            "outputs/RTS/cnn/seed=0/checkpoints/best.ckpt."
        )
    if checkpoint.resolve().is_relative_to(own.resolve()):
        raise UserError(
            f"init_from is '{config.init_from}', which lies in this run's own folder, {own}. Give "
            "this run another place with name=… ."
        )


def _require_place(config: ExperimentConfig) -> None:
    """The keys that make a folder of a run or a sweep."""
    if config.name is not None:
        require_folder_name("name", config.name)
    if config.cell is not None:
        require_folder_name("cell", config.cell)
    require(config.output_dir.strip() != "", "output_dir", config.output_dir, "a folder")
    require_path("output_dir", config.output_dir)

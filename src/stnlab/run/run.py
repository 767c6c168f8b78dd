"""One run: config to objects, fit, test, run folder."""

import json
import logging
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from rich.console import Console

from stnlab import config as configs
from stnlab.config import ExperimentConfig
from stnlab.config.identity import transformer_start
from stnlab.data.digits import Batches, Chunks, DigitParts, Examples, load_parts, ranges_of
from stnlab.data.distortion import Ranges
from stnlab.data.randomness import Stream
from stnlab.data.spec import dataset_spec
from stnlab.errors import UserError
from stnlab.evaluation import collapse, robustness, scores
from stnlab.folder import RunFolder, State, write_atomically
from stnlab.models import build_network
from stnlab.report import figures
from stnlab.run.environment import environment
from stnlab.run.overhead import NoProfiler, keep_freed_memory, spared_of_needless_work
from stnlab.run.progress import ProgressReport
from stnlab.run.recorder import Recorder, load_checkpoint
from stnlab.run.tensorboard import TensorBoardReport
from stnlab.schema import DigitsConfig, Layout, StnConfig
from stnlab.task import Classification, Predictions

# Test batches are larger than training's: nothing is learned from them, only their size costs.
_TEST_BATCH_SIZE = 250
_NUM_PANEL_EXAMPLES = 12
_NUM_FIGURE_EXAMPLES = 32


class Outcome(NamedTuple):
    """A complete run: its folder, its ``metrics.json``, and whether it was there before."""

    path: Path
    metrics: dict[str, Any]
    already_complete: bool


class RunStoppedError(UserError):
    """The user stopped the run; it can go on."""

    exit_status = 130  # as for a command ended by Ctrl-C


def train(config: ExperimentConfig, console: Console | None = None) -> Outcome:
    """Bring the run of ``config`` to its end, from its beginning or from its last checkpoint.

    Raises:
        UserError: for whatever the user can mend; see its message.
        RunStoppedError: on Ctrl-C.
    """
    folder = RunFolder(configs.folder(config))
    plain = configs.to_plain(config)
    with folder.locked():
        state = folder.claim(plain, config.overwrite)
        if state is State.complete:
            return Outcome(folder.path, folder.read_metrics(), already_complete=True)
        with spared_of_needless_work():
            run = Run(config, folder, console or Console())
            metrics = run.to_the_end(resume=state is State.interrupted)
        return Outcome(folder.path, metrics, already_complete=False)


class Run:
    """The parts of one run, put together."""

    def __init__(self, config: ExperimentConfig, folder: RunFolder, console: Console) -> None:
        assert isinstance(config.dataset, DigitsConfig)
        began = time.perf_counter()
        self.config, self.folder, self.dataset = config, folder, config.dataset
        torch.set_num_threads(config.num_threads)
        keep_freed_memory()
        self.spec = dataset_spec(config.dataset)
        parts = load_parts(config.dataset)
        self.task = Classification(
            build_network(config),
            self.spec,
            config.optimizer,
            config.seed,
            localization_lr=(
                config.model.localization.lr if isinstance(config.model, StnConfig) else None
            ),
            gradient_clip_val=config.trainer.gradient_clip_val,
            gradient_clip_algorithm=config.trainer.gradient_clip_algorithm,
        )
        self.recorder = Recorder(folder)
        self.progress = ProgressReport(console, config.trainer.enable_progress_bar)
        self.tensorboard = TensorBoardReport(
            folder, self._panel_examples(parts), config.trainer.log_every_n_steps
        )
        self.trainer = self._trainer()
        self.parts = parts.to(self.trainer.strategy.root_device)
        self.setup_seconds = time.perf_counter() - began

    def to_the_end(self, resume: bool) -> dict[str, Any]:
        """Train, test, and write ``metrics.json``; ``resume`` goes on from the last checkpoint.

        Raises:
            RunStoppedError: on Ctrl-C.
        """
        try:
            if resume:
                self.recorder.resume(self.trainer, self.task)
            self.fit()
            began = time.perf_counter()
            with self.progress.status("testing"):
                metrics = self._test()
            metrics["seconds"]["test"] = round(time.perf_counter() - began, 3)
            self.tensorboard.finish(
                _hyperparameters(self.config), _headline(metrics), self.trainer.global_step
            )
        except (KeyboardInterrupt, SystemExit) as error:  # Lightning turns the first to the second
            raise RunStoppedError(
                f"stopped after epoch {len(self.recorder.history)} of "
                f"{self.config.trainer.max_epochs}. The same command goes on from there."
            ) from error
        finally:
            self.tensorboard.close()
        write_atomically(self.folder.metrics, json.dumps(metrics, indent=2) + "\n")
        return metrics

    # --- training

    def _trainer(self) -> pl.Trainer:
        trainer = self.config.trainer
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        try:
            return pl.Trainer(
                max_epochs=trainer.max_epochs,
                accelerator=trainer.accelerator,
                devices=trainer.devices,
                precision=trainer.precision,  # type: ignore[arg-type]  # checked in validation
                limit_val_batches=trainer.limit_val_batches if self.dataset.val_size else 0,
                limit_test_batches=trainer.limit_test_batches,
                deterministic=trainer.deterministic,
                benchmark=trainer.benchmark,
                detect_anomaly=trainer.detect_anomaly,
                profiler=trainer.profiler or NoProfiler(),
                callbacks=[self.tensorboard, self.progress, self.recorder],
                # A run is one process wherever it is started; Lightning would take a Slurm job's
                # tasks for its own ranks.
                plugins=[LightningEnvironment()],
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            )
        except (MisconfigurationException, ValueError) as error:
            raise UserError(
                f"trainer: {error} With trainer.accelerator={trainer.accelerator} this machine "
                "cannot run it; trainer.accelerator=auto takes what is there."
            ) from error

    def fit(self) -> None:
        """Train to the last epoch."""
        val = self._batches(
            self.parts.val,
            _TEST_BATCH_SIZE,
            ranges_of(self.config.distortion),
            distortion_key=(self.dataset.seed, Stream.val_distortion),
        )
        self.trainer.fit(self.task, Chunks(self.train_batches()), val)

    # --- testing

    def _test(self) -> dict[str, Any]:
        """Everything that is said about the trained network."""
        distorted = self._test_batches(
            ranges_of(self.config.distortion), (self.dataset.seed, Stream.test_distortion)
        )
        parts = {"clean": self._test_batches(Ranges()), "distorted": distorted}
        last = self._predictions(list(parts.values()))
        test = self._scores(parts, last)
        metrics = {
            "status": "complete",
            "test": test,
            "best": self._test_best(parts, test),
            **self._collapse(test["clean"], last[0]),
            "parameters": sum(p.numel() for p in self.task.network.parameters()),
            "seconds": {
                "setup": round(self.setup_seconds, 3),
                "train": round(sum(row["seconds"] for row in self.recorder.history), 3),
            },
            "environment": environment(self.trainer.strategy.root_device),
            "data": {"name": "MNIST", "sha256": self.parts.sha256},
        }
        self._draw_warps()
        if self.dataset.layout is Layout.single:
            self._measure_robustness()
        return metrics

    def _predictions(self, loaders: list[Batches]) -> list[Predictions]:
        self.trainer.test(self.task, loaders, verbose=False)
        return self.task.test_predictions

    def _scores(
        self, parts: dict[str, Batches], predictions: list[Predictions]
    ) -> dict[str, scores.Scores]:
        return {
            part: scores.scores(self.spec.task, found.logits, found.targets)
            for part, found in zip(parts, predictions, strict=True)
        }

    def _test_best(self, parts: dict[str, Batches], last: dict[str, Any]) -> dict[str, Any]:
        """Test scores at the epoch of the best validation accuracy; the last's if that was it."""
        best, history = self.recorder.best, self.recorder.history
        if best is None or best is history[-1]:
            selected_by = "last epoch: dataset.val_size=0" if best is None else "val accuracy"
            return {"epoch": len(history), "selected_by": selected_by, "test": last}
        weights = {name: value.clone() for name, value in self.task.state_dict().items()}
        self.task.load_state_dict(load_checkpoint(self.folder.best_checkpoint)["state_dict"])
        test = self._scores(parts, self._predictions(list(parts.values())))
        self.task.load_state_dict(weights)
        return {"epoch": int(best["epoch"]), "selected_by": "val accuracy", "test": test}

    def _collapse(self, clean: scores.Scores, predictions: Predictions) -> dict[str, Any]:
        transformer, seen = self.task.network.transformer, []
        if transformer is not None and predictions.theta is not None:
            image_size = (self.spec.height, self.spec.width)
            seen = collapse.views(
                predictions.theta, image_size, transformer.view_size, transformer.align_corners
            )
        reason = collapse.collapse_reason(clean, predictions.targets, seen)
        return {
            "collapsed": reason is not None,
            "collapsed_reason": reason,
            "views": [view._asdict() for view in seen],
        }

    def _measure_robustness(self) -> None:
        settings = robustness.settings()
        key = (self.dataset.seed, Stream.test_distortion)
        found = self._predictions(
            [self._test_batches(Ranges(**{factor: amount}), key) for factor, amount in settings]
        )
        points = [
            robustness.Point(
                factor,
                amount,
                scores.scores(self.spec.task, each.logits, each.targets)["accuracy"],
                len(each.targets),
            )
            for (factor, amount), each in zip(settings, found, strict=True)
        ]
        rows = [",".join(robustness.Point._fields), *(",".join(map(str, row)) for row in points)]
        write_atomically(self.folder.robustness, "\n".join(rows) + "\n")
        figures.draw_robustness(
            self.folder.figures / "robustness.png", f"{self._title()}: robustness", points
        )

    @torch.no_grad()
    def _draw_warps(self) -> None:
        """Originals beside transformed at the distortions of SEED's figures."""
        transformer = self.task.network.transformer
        if transformer is None:
            return
        transformer.eval().to("cpu", torch.float32)
        test = self.parts.test.to(torch.device("cpu"))
        examples = Examples(
            test.images, test.members[:_NUM_FIGURE_EXAMPLES], test.targets[:_NUM_FIGURE_EXAMPLES]
        )
        key = (self.dataset.seed, Stream.test_distortion)
        shown = {"training distortion": ranges_of(self.config.distortion)}
        if self.dataset.layout is Layout.single:
            shown |= {
                f"{factor} {amount:g}": Ranges(**{factor: amount})
                for factor, amount in robustness.FIGURE_AMOUNTS.items()
            }
        for name, ranges in shown.items():
            batches = self._batches(examples, len(examples), ranges, distortion_key=key)
            inputs, _ = next(iter(batches))
            figures.draw_warps(
                self.folder.figures / f"warps-{name.replace(' ', '-')}.png",
                f"{self._title()}\ntest digits under {name}, before (above) and after the warp",
                inputs,
                transformer(inputs).views,
            )

    def _title(self) -> str:
        config = self.config
        return f"{config.dataset.name}, {configs.cell(config)}, seed {config.seed}"

    # --- batches

    def train_batches(self) -> Batches:
        """The training batches; their randomness is keyed by the run's seed."""
        return self._batches(
            self.parts.train,
            self.dataset.batch_size,
            ranges_of(self.config.distortion),
            distortion_key=(self.config.seed,),
            order_key=(self.config.seed,),
            limit=self.config.trainer.limit_train_batches,
        )

    def _batches(self, examples: Examples, batch_size: int, ranges: Ranges, **keys: Any) -> Batches:
        backend = self.config.distortion.backend
        return Batches(
            examples,
            self.dataset.layout,
            batch_size=batch_size,
            ranges=ranges,
            backend=backend,
            **keys,
        )

    def _test_batches(self, ranges: Ranges, distortion_key: tuple[int, ...] = ()) -> Batches:
        return self._batches(
            self.parts.test, _TEST_BATCH_SIZE, ranges, distortion_key=distortion_key
        )

    def _panel_examples(self, parts: DigitParts) -> torch.Tensor:
        """Validation digits, or training digits where nothing is held out."""
        source = parts.val if self.dataset.val_size else parts.train
        examples = Examples(
            source.images,
            source.members[:_NUM_PANEL_EXAMPLES],
            source.targets[:_NUM_PANEL_EXAMPLES],
        )
        batches = self._batches(
            examples,
            _NUM_PANEL_EXAMPLES,
            ranges_of(self.config.distortion),
            distortion_key=(self.dataset.seed, Stream.val_distortion),
        )
        return next(iter(batches))[0]


def _hyperparameters(config: ExperimentConfig) -> dict[str, int | float | str]:
    """What TensorBoard's HParams tab tells runs apart by."""
    init, padding = transformer_start(config)
    return {
        "dataset": config.dataset.name,
        "model": config.model.name,
        "init": init,
        "padding": padding,
        "seed": config.seed,
        "max_epochs": config.trainer.max_epochs,
        "batch_size": config.dataset.batch_size,
        "lr": config.optimizer.lr,
    }


def _headline(metrics: dict[str, Any]) -> dict[str, float]:
    """The metrics that TensorBoard's HParams tab compares runs by."""
    return {
        f"{when}/{part}/accuracy": found[part]["accuracy"]
        for when, found in (("test", metrics["test"]), ("best", metrics["best"]["test"]))
        for part in found
    }

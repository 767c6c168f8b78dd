"""One run: config to objects, fit, test, run folder."""

import contextlib
import errno
import gc
import io
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.exceptions import SIGTERMException
from rich.console import Console
from tensorboard.summary.writer.event_file_writer import (  # type: ignore[import-untyped]
    _AsyncWriterThread,
)

from stnlab import config as configs
from stnlab import parts, streams
from stnlab.checkpoints import load_checkpoint
from stnlab.config import ExperimentConfig
from stnlab.config.identity import flatten
from stnlab.data.batches import BatchSource, Chunks
from stnlab.errors import UserError
from stnlab.evaluation import headline
from stnlab.files import readable, write_atomically
from stnlab.folder import ReadOnlyError, RunFolder, State, differing_data
from stnlab.layers.network import build_network
from stnlab.report import figures
from stnlab.run.environment import environment
from stnlab.run.initial import start_from_another
from stnlab.run.overhead import NoProfiler, keep_freed_memory, spared_of_needless_work
from stnlab.run.progress import ProgressReport
from stnlab.run.recorder import Recorder
from stnlab.run.soundness import require_usable
from stnlab.run.tensorboard import TensorBoardReport, hyperparameters, leave_hyperparameters
from stnlab.stopping import Stop, StoppedError, TerminatedError
from stnlab.task import Classification, Predictions

_SHOWN_SCORES = ("accuracy", "auroc", "auprc")  # of metrics.json, by TensorBoard
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


class Outcome(NamedTuple):
    """A complete run: its folder, its ``metrics.json``, and whether it was there before."""

    path: Path
    metrics: dict[str, Any]
    already_complete: bool

    @property
    def validation_score(self) -> float | None:
        """The best validation score; None where nothing was held out, and of older runs."""
        validation = self.metrics.get("validation")
        return float(validation["score"]) if validation else None


def train(config: ExperimentConfig, console: Console | None = None) -> Outcome:
    """Bring the run of ``config`` to its end, from its beginning or from its last checkpoint.

    Raises:
        UserError: for whatever the user can mend; see its message.
        StoppedError: on Ctrl-C or SIGTERM.
    """
    folder = RunFolder(configs.folder(config))
    plain, checksums = configs.to_plain(config), config.dataset.checksums
    with contextlib.ExitStack() as stack:
        stack.enter_context(streams.that_may_break())
        try:
            stack.enter_context(folder.locked())
        except ReadOnlyError:  # as another user's, which is complete all the same
            if folder.look(plain, checksums)[0] is State.complete:
                return Outcome(folder.path, folder.read_metrics(), already_complete=True)
            raise
        stack.enter_context(_no_temporary_left(folder))
        state = folder.claim(plain, config.overwrite, checksums)
        if state is State.complete:
            return Outcome(folder.path, folder.read_metrics(), already_complete=True)
        with spared_of_needless_work(), _told_once():
            run = Run(config, folder, console or Console())
            metrics = run.to_the_end(resume=state is not State.fresh)
            del run
            gc.collect()  # Lightning's objects hold each other, and with them the data
        return Outcome(folder.path, metrics, already_complete=False)


@contextlib.contextmanager
def _no_temporary_left(folder: RunFolder) -> Iterator[None]:
    """Remove what a killed run has left half-written, and what this one leaves when it fails."""
    _remove_temporaries(folder)
    try:
        yield
    finally:
        _remove_temporaries(folder)


def _remove_temporaries(folder: RunFolder) -> None:
    for path in [*folder.path.rglob(".*.tmp"), *folder.path.glob(".*.lock")]:
        with contextlib.suppress(OSError):  # what is the matter is told already
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def _told_once() -> Iterator[None]:
    """Let TensorBoard's thread die silently: the next event that it is given raises its error."""
    before = threading.excepthook

    def tell(args: threading.ExceptHookArgs) -> None:
        if not isinstance(args.thread, _AsyncWriterThread):
            before(args)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before


class CheckpointWriter(TorchCheckpointIO):
    """Writes a checkpoint where it is told to, and nowhere else.

    Lightning's own first writes it to the system's folder for temporary files, which is another
    disk that may be full, and where a killed run would leave it.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with Path(path).open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())


class Run:
    """The parts of one run, put together."""

    def __init__(self, config: ExperimentConfig, folder: RunFolder, console: Console) -> None:
        began = time.perf_counter()
        self.config, self.folder = config, folder
        self.plain = configs.to_plain(config)
        torch.set_num_threads(config.num_threads)
        keep_freed_memory()
        with readable("dataset.root"):
            self.experiment = config.dataset.experiment(config, folder)
        require_usable(self.experiment)
        spec = self.experiment.spec
        self.task = Classification(
            build_network(config, spec),
            spec,
            config.optimizer,
            config.schedule,
            config.seed,
            learning_rates=config.model.learning_rates(),
            warmup_steps=config.model.warmup_steps(),
            penalty=config.model.penalty(config, spec),
            gradient_clip_val=config.trainer.gradient_clip_val,
            gradient_clip_algorithm=config.trainer.gradient_clip_algorithm,
        )
        self.initial = start_from_another(config, self.task)
        self.measure = headline.measure(spec.task)
        self.recorder = Recorder(
            *(folder, self.measure, self.experiment.data, config.trainer.keep_epochs),
            self._has_collapsed,
        )
        self.progress = ProgressReport(console, config.trainer.enable_progress_bar)
        self.tensorboard = TensorBoardReport(
            folder,
            self.experiment.add_panel if self.experiment.draws else None,
            self.experiment.add_warps,
            config.trainer.log_every_n_steps,
        )
        self.trainer = self._trainer()
        self.experiment.place_on(self.trainer.strategy.root_device)
        self.setup_seconds = time.perf_counter() - began

    def to_the_end(self, resume: bool) -> dict[str, Any]:
        """Train, test, and write ``metrics.json``; ``resume`` goes on from the last checkpoint.

        Raises:
            UserError: the folder could not be written.
            StoppedError: on Ctrl-C or SIGTERM.
        """
        try:
            return self._to_the_end(resume)
        except (KeyboardInterrupt, TerminatedError, SystemExit) as error:
            stop = _stop_behind(error)
            if stop is None:
                raise
            raise StoppedError(
                f"stopped after epoch {self._num_epochs_kept()} of "
                f"{self.config.trainer.max_epochs}. The same command goes on from there.",
                stop,
            ) from error
        except OSError as error:
            if not self._is_of_the_folder(error):
                raise
            raise UserError(
                f"output_dir: cannot write to {self.folder.path} ({error.strerror}). "
                f"{self._num_epochs_kept()} of {self.config.trainer.max_epochs} epochs are kept; "
                "once this is mended, the same command goes on from there."
            ) from error

    def _to_the_end(self, resume: bool) -> dict[str, Any]:
        try:
            if resume and self._goes_on():
                kept = self.folder.go_on(self.plain)
                if kept is not None:
                    leave_hyperparameters(self.folder.path, kept)
                self.recorder.resume(self.trainer, self.task)
            self.fit()
            began = time.perf_counter()
            with self.progress.testing():
                metrics = self._test()
            metrics["seconds"]["test"] = round(time.perf_counter() - began, 3)
            self.tensorboard.finish(
                hyperparameters(self.config),
                _headline(metrics),
                self.experiment.shown,
                self.trainer.global_step,
            )
        finally:
            self.tensorboard.close()
        self.folder.finish(metrics)
        return metrics

    def _goes_on(self) -> bool:
        """Whether the last checkpoint is of this data; if not, ``overwrite`` begins anew.

        Raises:
            UserError: it is of other data.
        """
        differences = differing_data(self.recorder.data_before(), self.experiment.data)
        if not differences:
            return True
        if not self.config.overwrite:
            raise self.folder.holds_another(differences)
        self.folder.clear(configs.to_plain(self.config))
        return False

    def _num_epochs_kept(self) -> int:
        """How many epochs' work the last checkpoint holds."""
        try:
            checkpoint = load_checkpoint(self.folder.last_checkpoint)
            return len(checkpoint["callbacks"][self.recorder.state_key]["history"])
        except (UserError, KeyError):
            return 0

    def _is_of_the_folder(self, error: OSError) -> bool:
        """Whether ``error`` came of writing there; an error of writing itself names no file."""
        if isinstance(error.filename, str | bytes | os.PathLike):  # TensorBoard's are bytes
            return Path(os.fsdecode(error.filename)).is_relative_to(self.folder.path)
        return error.errno in _CANNOT_WRITE

    # --- training

    def _trainer(self) -> pl.Trainer:
        config, trainer = self.config, self.config.trainer
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        try:
            return pl.Trainer(
                max_epochs=trainer.max_epochs,
                accelerator=trainer.accelerator,
                devices=trainer.devices,
                precision=trainer.precision,  # type: ignore[arg-type]  # checked in validation
                # A limit is the batches' own, which leave at least one.
                limit_val_batches=1.0 if self.experiment.has_validation else 0,
                deterministic=trainer.deterministic,
                benchmark=trainer.benchmark,
                detect_anomaly=trainer.detect_anomaly,
                profiler=trainer.profiler or NoProfiler(),
                callbacks=[
                    *parts.callbacks(config),
                    self.tensorboard,
                    self.progress,
                    self.recorder,
                ],
                # A run is one process wherever it is started; Lightning would take a Slurm job's
                # tasks for its own ranks.
                plugins=[LightningEnvironment(), CheckpointWriter()],
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
        batches = Chunks(self.experiment.train_batches())
        self.trainer.fit(self.task, batches, self.experiment.limited_val_batches())

    # --- testing

    def _test(self) -> dict[str, Any]:
        """Everything that is said about the trained network."""
        experiment, network = self.experiment, self.task.network
        self.progress.now("testing")
        last = self._predictions(experiment.test_batches())
        test = experiment.test_scores(last)
        best, best_predictions = self._test_best(test, last)
        diagnosis = experiment.diagnosis(network, test, last)
        since = self.recorder.collapsed_since if diagnosis["collapsed"] else None
        metrics = {
            "status": "complete",
            "test": test,
            "best": best,
            **self._validation(),
            **diagnosis,
            "collapsed_since": since,
            "parameters": sum(p.numel() for p in network.parameters()),
            "seconds": {
                "setup": round(self.setup_seconds, 3),
                "train": round(sum(row["seconds"] for row in self.recorder.history), 3),
            },
            "environment": environment(self.trainer.strategy.root_device),
            "data": experiment.data,
            **self.initial,
            **({"extensions": self.plain["extensions"]} if "extensions" in self.plain else {}),
        }
        self.progress.now("testing further, and drawing")
        if self.folder.figures.exists():  # of fewer epochs; not all may be drawn anew
            shutil.rmtree(self.folder.figures)
        metrics |= experiment.write(network, last, best_predictions, self._predictions)
        if experiment.draws:
            self._draw_share_outside()
        kept = {"spec": experiment.spec.to_plain(), **experiment.preprocessing}
        write_atomically(self.folder.preprocessing, json.dumps(kept, indent=2) + "\n")
        return metrics

    def _has_collapsed(self, task: Classification) -> bool:
        """Whether validation finds a collapse, by the rules of the test."""
        assert task.val_predictions is not None
        found = self.experiment.collapse(
            task.network, task.epoch_scores["val"], task.val_predictions
        )
        return bool(found["collapsed"])

    def _draw_share_outside(self) -> None:
        steps = {row["step"]: row["share_outside"] for row in self.recorder.steps}
        if steps:
            figures.draw_share_outside(
                self.folder.figures / "share-outside.svg",
                f"{self.experiment.title()}: the grid outside of the input, batch by batch",
                steps,
            )

    def _validation(self) -> dict[str, Any]:
        """``validation`` of ``metrics.json``: the best score and its epoch."""
        best = self.recorder.best
        if best is None:
            return {}
        score = best[f"val_{self.measure}"]
        return {"validation": {"metric": self.measure, "score": score, "epoch": int(best["epoch"])}}

    def _predictions(self, loaders: Sequence[BatchSource]) -> list[Predictions]:
        limited = self.experiment.limited_test_batches(loaders)
        self.trainer.test(self.task, limited, verbose=False)
        return self.task.test_predictions

    def _test_best(
        self, test: dict[str, Any], last: list[Predictions]
    ) -> tuple[dict[str, Any], list[Predictions]]:
        """``best`` of ``metrics.json``: the epoch of the best validation score, if not the last.

        Returns its predictions, too.
        """
        best, history = self.recorder.best, self.recorder.history
        if best is None or best is history[-1]:
            selected_by = (
                "last epoch: dataset.val_size=0" if best is None else f"val {self.measure}"
            )
            return {"epoch": len(history), "selected_by": selected_by, "test": test}, last
        weights = {name: value.clone() for name, value in self.task.state_dict().items()}
        self.task.load_state_dict(self.recorder.best_weights())
        self.progress.now("testing the best epoch")
        predictions = self._predictions(self.experiment.test_batches())
        self.task.load_state_dict(weights)
        at_best = self.experiment.test_scores(predictions)
        epoch = int(best["epoch"])
        return {"epoch": epoch, "selected_by": f"val {self.measure}", "test": at_best}, predictions


def _stop_behind(error: BaseException) -> Stop | None:
    """What Lightning made ``error`` of; None for another's, as submitit's when Slurm requeues."""
    if isinstance(error, KeyboardInterrupt | TerminatedError):
        return error
    if isinstance(error, SIGTERMException):
        return TerminatedError()
    before = error.__context__
    return before if isinstance(before, KeyboardInterrupt) else None


def _headline(metrics: dict[str, Any]) -> dict[str, float]:
    """The results that TensorBoard's HParams tab compares runs by; named to stand last in it."""
    found = {"test": metrics["test"], "test at the best epoch": metrics["best"]["test"]}
    return {
        key.replace(".", "/"): value
        for key, value in flatten(found).items()
        if key.rpartition(".")[2] in _SHOWN_SCORES
    }

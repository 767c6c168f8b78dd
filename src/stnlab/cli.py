"""The command line: Hydra's, with its errors in plain words and a help that explains the groups."""

import dataclasses
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra._internal.utils import _run_hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from stnlab import extensions
from stnlab.config import commandline
from stnlab.config.composition import (
    VERSION_BASE,
    explain,
    from_hydra,
    is_of_hydra,
    with_home,
)
from stnlab.config.identity import cell, dataset_label, folder, swept_cell, to_plain
from stnlab.config.text import quoted
from stnlab.data.places import CONF_DIR
from stnlab.errors import UserError, wants_stack_trace
from stnlab.schema import ExperimentConfig
from stnlab.stopping import StoppedError, TerminatedError, stoppable
from stnlab.streams import that_may_break

_SAME_COMMAND = "The same command begins, or goes on from the last epoch that has ended."
_TRAIN_HELP = """\
train.py: fit, validate and test one run, and leave a complete run folder.

  python train.py                                  stn on rot90, seed 0
  python train.py dataset=RTS model=cnn seed=3
  python train.py dataset=same-image model=multi-stn init=left-right padding=border
  python train.py dataset=mimic dataset.source=synthetic model=ts-stn
  python train.py trainer=fast name=fast           seconds, to see what a run leaves
  python train.py init_from=outputs/RTS/cnn/seed=0 dataset=rot90 model=cnn name=tuned

The run folder is outputs/<name>/<cell>/seed=<n>, for example
outputs/rot90/stn-identity-zeros/seed=0. A complete run is not run again, but goes on where
trainer.max_epochs is larger now; an interrupted one goes on from its last epoch. View it with:
tensorboard --logdir outputs

Choices (GROUP=OPTION; each is a file conf/GROUP/OPTION.yaml):
{groups}
Every other key is set as KEY=VALUE, for example seed=1, dataset.val_size=0, optimizer.lr=0.0005,
num_threads=2, distortion.backend=pil, overwrite=true.

  --with FILE         parts of your own, from a Python file or a module: docs/extending.md
  --config-dir DIR    a folder with configs of your own, beside conf/; hydra.searchpath=[…]: several
  --cfg job           print the resolved config and stop
  --multirun, -m      run every combination: python train.py -m model=cnn,stn seed=0,1
                      (hydra/sweeper=optuna searches: pip install '.[optuna]')
  --shell-completion  shell completion, for example: eval "$(python train.py -sc install=bash)"
  --hydra-help        Hydra's own options
HYDRA_FULL_ERROR=1 in the environment shows stack traces.
"""


_SWEEP_HELP = """\
sweep.py: run a study, or every combination of a grid, over five seeds, and report.

  python sweep.py study=same-image                 SEED's Table 1: 7 rows, 5 seeds
  python sweep.py study=image                      all four image studies
  python sweep.py study=physionet2012 dataset.root=FOLDER   series: who dies in hospital
  python sweep.py study=RTS dry_run=true           what is done, what is left, how long it takes
  python sweep.py dataset=rot90,RTS model=cnn,stn seeds=[0,1]
  python sweep.py dataset=RTS optimizer.lr=0.001,0.0003 name=rates trainer.max_epochs=3

Runs lie in outputs/<name>/<cell>/seed=<n>; beside them summary.csv, summary.json, report.md,
report.html and figures/. What is complete is not run again, what was interrupted goes on, what
failed is tried again: give the same command.

Sweep keys:
  study=NAME               a study, or several: study=RTS,rot90
  seeds=[0,1,2,3,4]        the seeds of every cell
  dry_run=true             show each run's state and the time left, and stop
  name=NAME                outputs/NAME/ instead of the study's or the dataset's

Engines (Hydra's launchers; the same numbers on each):
  hydra/launcher=joblib           processes on this machine, one a core (hydra.launcher.n_jobs=…)
  hydra/launcher=submitit_slurm   Slurm (hydra.launcher.partition=…; pip install '.[slurm]')
  hydra/launcher=ray              Ray (pip install '.[ray]')

Parts and configs of your own: --with FILE --config-dir DIR (docs/extending.md)

Choices (GROUP=OPTION; each is a file conf/GROUP/OPTION.yaml):
{groups}
Every key of train.py is a key here, for all runs; several values, as in optimizer.lr=0.001,0.0003,
make a grid. HYDRA_FULL_ERROR=1 in the environment shows stack traces.
"""


_SWEPT = "STNLAB_SWEPT"  # of hydra.job.env_set, which reaches a job wherever it runs


@that_may_break()
def train_main() -> int:
    """The command ``train.py``; returns the exit status."""
    return _main("train", _TRAIN_HELP, _prepare_train, _train)


@that_may_break()
def sweep_main() -> int:
    """The command ``sweep.py``; returns the exit status."""
    from stnlab.sweep.job import run_job

    return _main("sweep", _SWEEP_HELP, _prepare_sweep, run_job)


def _prepare_train(args: Namespace, overrides: list[Override]) -> None:
    """With ``--multirun``: tell jobs which keys are swept, and optuna which way is up."""
    if args.config_name == "sweep":
        raise UserError("--config-name=sweep: many runs are python sweep.py's.")
    keys = {each.key_or_group: each for each in overrides}
    mode = keys.get("hydra.mode")
    if not (args.multirun or (mode and mode.value() == RunMode.MULTIRUN.name)):
        return
    sweeper = str(keys["hydra/sweeper"].value()) if "hydra/sweeper" in keys else "basic"
    own = [str(keys["output_dir"].input_line)] if "output_dir" in keys else []
    if own and keys["output_dir"].is_sweep_override():
        own = []
    swept = [each.key_or_group for each in overrides if each.is_sweep_override()]
    own.append(f"+hydra.job.env_set.{_SWEPT}={quoted(','.join(swept))}")
    if sweeper.startswith("optuna"):
        direction = keys.get("hydra.sweeper.direction")
        if direction is None:
            own.append("hydra.sweeper.direction=maximize")
        elif direction.value() != "maximize":
            raise UserError(
                f"hydra.sweeper.direction is {direction.value()}; allowed: maximize. What a run "
                "gives optuna is its best validation score (accuracy or AUROC), and more is better."
            )
    commandline.only(own, args)


def _prepare_sweep(args: Namespace, overrides: list[Override]) -> None:
    from stnlab.sweep.plan import own_overrides

    if any(each.key_or_group.replace("/", ".") == "hydra.sweeper" for each in overrides):
        raise UserError(
            "hydra/sweeper: sweep.py runs its studies and grids with a sweeper of its own. "
            "Leave it out; train.py -m takes any."
        )
    if args.config_name not in (None, "sweep"):
        raise UserError(
            f"--config-name={args.config_name}: a sweep's runs are those of train.yaml. Keep what "
            "yours has in a group's file, and choose that."
        )
    if args.cfg or args.info or args.shell_completion:
        for each in overrides:
            if each.is_sweep_override():
                raise UserError(
                    f"{each.input_line}: one config is shown, and this is several. Give "
                    f"{each.key_or_group} one value; dry_run=true shows all runs of a sweep."
                )
        return
    commandline.only(own_overrides(overrides), args)


def _train(composed: DictConfig) -> float | None:
    """One run; returns what a sweeper may optimise: the best validation score."""
    config = from_hydra(composed)
    job = HydraConfig.get()
    if job.mode is RunMode.MULTIRUN and config.cell is None:
        config = dataclasses.replace(config, cell=_cell(config))
    print(_said_first(config), flush=True)  # before seconds of imports
    from rich.console import Console

    from stnlab.run import train  # after the config is known to be good: its imports take seconds
    from stnlab.run.summary import print_outcome

    console = Console(highlight=False)
    outcome = train(config, console)
    print_outcome(console, outcome)
    if outcome.validation_score is None and "direction" in job.sweeper:
        raise UserError(
            "hydra/sweeper: there is no validation score to optimise. Hold some of the training "
            "data out with dataset.val_size=…; a run of an older version is run again with "
            "another name=… ."
        )
    return outcome.validation_score


def _said_first(config: ExperimentConfig) -> str:
    epochs = f"{config.trainer.max_epochs} epoch{'s' * (config.trainer.max_epochs > 1)}"
    what = f"{dataset_label(to_plain(config))}, {cell(config)}, seed {config.seed}, {epochs}"
    return f"{what}; run folder: {folder(config)}"


def _cell(config: ExperimentConfig) -> str | None:
    """With ``--multirun``, the run's cell: its own, told apart by what is swept."""
    job = HydraConfig.get()
    swept = str(job.job.env_set.get(_SWEPT, "")).split(",")
    swept += [str(key) for key in job.sweeper.get("params") or {}]  # of optuna and others
    return swept_cell(config, swept, dict(job.runtime.choices))


def _main(
    config_name: str,
    help_text: str,
    prepare: Callable[[Namespace, list[Override]], None],
    job: Callable[[DictConfig], object],
) -> int:
    """Run ``job`` as ``hydra.main`` does, with the user's mistakes as one message each."""
    traces = wants_stack_trace()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets errors through instead of ending the process
    composed = False

    def run(config: DictConfig) -> object:
        nonlocal composed
        composed = True
        try:
            return job(config)
        except StoppedError as error:
            raise _Ended(error) from error  # --multirun would go on with its next run
        except UserError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise
            raise _Ended(error) from error

    try:
        args = commandline.read(with_home(extensions.take_from(sys.argv[1:])))
        if args.help:
            leaving_out = "study" if config_name == "train" else None
            groups = _describe_groups(commandline.folders(args), leaving_out)
            print(_as_called(help_text).format(groups=groups), end="")
            return 0
        if not args.hydra_help:
            prepare(args, commandline.parse(args.overrides))
        if VERSION_BASE:
            hydra.version.setbase(VERSION_BASE["version_base"])
        with commandline.in_charge(args), stoppable():
            _run_hydra(args, commandline.parser(), run, str(CONF_DIR), config_name)
    except UserError as error:
        if traces:
            raise
        return error.tell()
    except Exception as error:
        # Past the config, and outside of Hydra, such an error is a defect and shows where it is.
        if traces or composed or not is_of_hydra(error):
            raise
        return explain(error).tell()
    except _Ended as ended:
        if traces:
            raise ended.error from ended
        return ended.error.tell()
    except (KeyboardInterrupt, TerminatedError) as stop:
        return StoppedError(f"stopped. {_SAME_COMMAND}", stop).tell()
    return 0


class _Ended(BaseException):  # no Exception, for Hydra
    """Carries an error past Hydra, which takes any Exception for its own to tell of."""

    def __init__(self, error: UserError) -> None:
        super().__init__(error)
        self.error = error


def _as_called(text: str) -> str:
    """A help that says ``stnlab-train`` where the installed commands are used."""
    if not Path(sys.argv[0]).name.startswith("stnlab-"):
        return text
    return re.sub(r"(?:python )?\b(train|sweep)\.py", r"stnlab-\1", text)


def _describe_groups(folders: list[Path], leaving_out: str | None = None) -> str:
    """Each group's options with the first comment line of their files."""
    groups: dict[str, dict[str, Path]] = {}
    for each in [CONF_DIR, *folders]:
        for path in each.glob("*/*.yaml"):
            if not path.name.startswith(".") and not path.parent.name.startswith("."):
                groups.setdefault(path.parent.name, {}).setdefault(path.stem, path)
    lines = []
    for group, options in sorted(groups.items()):
        if group not in (leaving_out, "hydra"):
            lines.append(f"  {group}")
            lines += [
                f"    {name:<14} {_first_comment(path)}" for name, path in sorted(options.items())
            ]
    return "\n".join(lines) + "\n"


def _first_comment(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:  # it is told when it is chosen
        return ""
    first = lines[0] if lines else ""
    return first.lstrip("# ") if first.startswith("#") else ""

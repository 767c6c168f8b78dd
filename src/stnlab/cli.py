"""The command line: Hydra's, with its errors in plain words and a help that explains the groups."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from stnlab import extensions
from stnlab.config.composition import (
    escape_folders,
    explain,
    from_hydra,
    is_of_hydra,
    wants_stack_trace,
)
from stnlab.config.trust import require_plain_files
from stnlab.data.places import CONF_DIR
from stnlab.errors import UserError
from stnlab.stopping import StoppedError, TerminatedError, stoppable

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
  --config-dir DIR    a folder with configs of your own, beside conf/
  --cfg job           print the resolved config and stop
  --multirun, -m      run every combination: python train.py -m model=cnn,stn seed=0,1
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


def train_main() -> int:
    """The command ``train.py``; returns the exit status."""
    if refused := _import_users_parts():
        return refused
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(_as_called(_TRAIN_HELP).format(groups=_describe_groups("study")), end="")
        return 0
    return _run_hydra("train", _train)


def sweep_main() -> int:
    """The command ``sweep.py``; returns the exit status."""
    if refused := _import_users_parts():
        return refused
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(_as_called(_SWEEP_HELP).format(groups=_describe_groups()), end="")
        return 0
    if any(re.match(r"\+*hydra[/.]sweeper\b", argument) for argument in sys.argv[1:]):
        return _tell(
            UserError(
                "hydra/sweeper: sweep.py runs its studies and grids with a sweeper of its own. "
                "Leave it out; train.py -m takes any."
            )
        )
    from stnlab.sweep.job import run_job

    return _run_hydra("sweep", run_job)


def _import_users_parts() -> int:
    """Take ``--with`` off the command line; returns the exit status of what cannot be imported."""
    try:
        sys.argv[1:] = extensions.take_from(sys.argv[1:])
    except UserError as error:
        if wants_stack_trace():
            raise
        return _tell(error)
    return 0


def _train(composed: DictConfig) -> None:
    config = from_hydra(composed)
    from rich.console import Console

    from stnlab.run import train  # after the config is known to be good: its imports take seconds
    from stnlab.run.summary import print_outcome

    console = Console(highlight=False)
    print_outcome(console, train(config, console))


def _run_hydra(config_name: str, job: Callable[[DictConfig], object]) -> int:
    """Run ``job`` under ``hydra.main``, with the user's mistakes as one message each."""
    traces = wants_stack_trace()
    sys.argv[1:] = escape_folders(sys.argv[1:])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra lets errors through instead of ending the process
    composed = False

    def run(config: DictConfig) -> None:
        nonlocal composed
        composed = True
        try:
            job(config)
        except StoppedError as error:
            raise _Ended(error) from error  # --multirun would go on with its next run
        except UserError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise
            raise _Ended(error) from error

    command = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name=config_name)
    try:
        require_plain_files(CONF_DIR)  # Hydra acts on its own keys before it hands over a config
        with stoppable():
            command(run)()
    except UserError as error:
        if traces:
            raise
        return _tell(error)
    except Exception as error:
        # Past the config, and outside of Hydra, such an error is a defect and shows where it is.
        if traces or composed or not is_of_hydra(error):
            raise
        return _tell(explain(error))
    except _Ended as ended:
        if traces:
            raise ended.error from ended
        return _tell(ended.error)
    except (KeyboardInterrupt, TerminatedError) as stop:
        return _tell(StoppedError(f"stopped. {_SAME_COMMAND}", stop))
    return 0


class _Ended(BaseException):  # no Exception, for Hydra
    """Carries an error past Hydra, which takes any Exception for its own to tell of."""

    def __init__(self, error: UserError) -> None:
        super().__init__(error)
        self.error = error


def _tell(error: UserError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_status


def _as_called(text: str) -> str:
    """A help that says ``stnlab-train`` where the installed commands are used."""
    if not Path(sys.argv[0]).name.startswith("stnlab-"):
        return text
    return re.sub(r"(?:python )?\b(train|sweep)\.py", r"stnlab-\1", text)


def _describe_groups(leaving_out: str | None = None) -> str:
    """Each group's options with the first comment line of their files."""
    lines = []
    for group in sorted(path for path in CONF_DIR.iterdir() if path.is_dir()):
        if group.name == leaving_out:
            continue
        lines.append(f"  {group.name}")
        options = sorted(group.glob("*.yaml"))
        lines += [f"    {option.stem:<14} {_first_comment(option)}" for option in options]
    return "\n".join(lines) + "\n"


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.lstrip("# ")

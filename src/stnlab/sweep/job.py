"""What a launcher's worker does: one run, whose failure is noted in its folder."""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback

from omegaconf import DictConfig

from stnlab import config as configs
from stnlab.errors import UserError
from stnlab.folder import BusyError, RunFolder
from stnlab.stopping import StoppedError, TerminatedError, stoppable
from stnlab.streams import that_may_break

_WATCH_SECONDS = 0.5


def run_job(composed: DictConfig) -> str:
    """Bring one run to its end; nothing that goes wrong in it reaches the launcher.

    Returns:
        "done", "failed" (see the folder's error.txt), "busy" (another process has it), "stopped"
        (by Ctrl-C) or "terminated" (by SIGTERM).

    Raises:
        KeyboardInterrupt, TerminatedError: in the sweep's own process, whose end it is, too.
    """
    with that_may_break(), stoppable() as is_worker:
        try:
            return _run(composed)
        except (KeyboardInterrupt, TerminatedError) as stop:
            if not is_worker:
                raise
            if isinstance(stop, KeyboardInterrupt):
                return "stopped"
            if "SUBMITIT_EXECUTOR" in os.environ:  # Slurm may requeue it; it has no result yet
                print(stop.__cause__ or "stopped before its first epoch", file=sys.stderr)
                sys.exit(128 + signal.SIGTERM)
            return "terminated"


def _run(composed: DictConfig) -> str:
    config = configs.from_hydra(composed)
    folder = RunFolder(configs.folder(config))
    try:
        from rich.console import Console

        from stnlab.run import train
    except Exception:
        _note(folder, traceback.format_exc())
        return "failed"
    try:
        train(config, Console(quiet=True))
    except BusyError:
        return "busy"
    except StoppedError as stopped:
        raise stopped.by from stopped
    except UserError as error:
        _note(folder, str(error))
        return "failed"
    except Exception as error:
        is_out_of_time = type(error).__name__ == "UncompletedJobError"  # submitit's
        _note(folder, _out_of_time(error) if is_out_of_time else traceback.format_exc())
        return "failed"
    return "done"


def _note(folder: RunFolder, text: str) -> None:
    with contextlib.suppress(OSError):  # on a full disk the sweep tells what it has no word of
        folder.note_error(text)


def _out_of_time(error: Exception) -> str:
    return (
        f"hydra.launcher.timeout_min: the job's time was up. {error} The same command goes on from "
        "the last whole epoch. Give it more time, or let Slurm start it again by itself with "
        "hydra.launcher.max_num_timeout=…"
    )


def end_with_the_launcher(launcher: int) -> None:
    """End this process, a worker, when the process ``launcher`` that started it is gone.

    The workers of a sweep that is killed would else wait for its next word for minutes, with all
    that their runs hold in memory. A run that ends so goes on from its last checkpoint.

    A terminal sends Ctrl-C to all of them. The sweep ends its workers, which need no word of their
    own about it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == launcher:  # which may be gone before this process has come so far
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

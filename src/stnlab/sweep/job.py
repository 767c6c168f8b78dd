"""What a launcher's worker does: one run, whose failure is noted in its folder."""

import os
import threading
import time
import traceback

from omegaconf import DictConfig

from stnlab import config as configs
from stnlab.errors import UserError
from stnlab.folder import BusyError, RunFolder

_WATCH_SECONDS = 0.5


def run_job(composed: DictConfig) -> str:
    """Bring one run to its end; nothing that goes wrong in it reaches the launcher.

    Returns:
        "done", "failed" (see the folder's error.txt), "busy" (another process has it) or "stopped".
    """
    config = configs.from_hydra(composed)
    folder = RunFolder(configs.folder(config))
    try:
        from rich.console import Console

        from stnlab.run import train
        from stnlab.run.run import RunStoppedError
    except Exception:
        folder.note_error(traceback.format_exc())
        return "failed"
    try:
        train(config, Console(quiet=True))
    except BusyError:
        return "busy"
    except RunStoppedError:
        return "stopped"
    except UserError as error:
        folder.note_error(str(error))
        return "failed"
    except Exception:
        folder.note_error(traceback.format_exc())
        return "failed"
    return "done"


def end_with_the_launcher() -> None:
    """End this process, a launcher's worker, when the one that started it is gone.

    The workers of a sweep that is killed would else wait for its next word for minutes, with all
    that their runs hold in memory. A run that ends so goes on from its last checkpoint.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

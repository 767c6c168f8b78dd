"""Hydra's plugins of stnlab: ``hydra/sweeper=studies``, and a user's folders of configs.

Hydra finds its plugins in the namespace package ``hydra_plugins`` and imports all of them at every
start, so nothing heavy is imported here.
"""

import os
import secrets
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write


class StudySweeper(Sweeper):
    """Runs what is not complete of a study or a grid, through whichever launcher is chosen."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        from stnlab.config import sweep_from_hydra

        self.own_config = sweep_from_hydra(_without_hydra(config))
        job_config = _job_config(config, self.own_config.num_threads)
        self.num_workers = max(int(job_config.hydra.launcher.get("n_jobs", 1)), 1)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=job_config
        )
        self.launch = launcher.launch

    def sweep(self, arguments: list[str]) -> None:
        """Bring the sweep that ``arguments`` ask for to its end.

        Raises:
            UserError: a run's folder holds another config, or some runs failed.
        """
        from stnlab.sweep.sweep import Sweep

        Sweep(self.own_config, arguments, self.launch, self.num_workers).to_the_end()


class OwnFolders(SearchPathPlugin):
    """The folders of ``hydra.searchpath``, for every config that the command composes."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        from stnlab.config import commandline

        commandline.add_folders(search_path)


def _without_hydra(config: DictConfig) -> DictConfig:
    config = config.copy()
    with read_write(config), open_dict(config):
        del config["hydra"]
    return config


def _job_config(config: DictConfig, num_threads: int) -> DictConfig:
    """The config that a launcher gets: its jobs compose ``train.yaml``, as train.py would."""
    config = config.copy()
    with read_write(config.hydra), open_dict(config):
        config.hydra.job.config_name = "train"
        config.hydra.overrides.hydra = []  # the launcher's own keys are not a run's
        if "n_jobs" in config.hydra.launcher:
            config.hydra.launcher = _joblib(config.hydra.launcher, num_threads)
        elif config.hydra.runtime.choices["hydra/launcher"] == "ray":
            _settle_ray(config.hydra.launcher.ray.init)
    return config


def _joblib(launcher: DictConfig, num_threads: int) -> dict[str, Any]:
    """As many processes as the cores have room for, which end with this one."""
    import joblib

    from stnlab.errors import UserError

    settings = {str(key): value for key, value in launcher.items()}
    if settings["n_jobs"] < 1 and settings["n_jobs"] != -1:
        raise UserError(
            f"hydra.launcher.n_jobs is {settings['n_jobs']}; allowed: 1 or more processes, or -1 "
            "for as many as the cores have room for."
        )
    if settings["n_jobs"] == -1:
        num_cores: int = joblib.cpu_count()
        settings["n_jobs"] = max(num_cores // num_threads, 1)
    settings["initializer"] = {
        "_target_": "stnlab.sweep.job.end_with_the_launcher",
        "_partial_": True,
        "launcher": os.getpid(),
    }
    return settings


def _settle_ray(init: DictConfig) -> None:
    """Let a Ray that starts on this machine listen on loopback, and to who has its token.

    Ray would listen on all addresses, and run whatever it is sent. What it listens on, it decides
    from a variable that is named for the systems where it always stays on loopback. A Ray that is
    there, which ``address`` names, is reached as its owner has set it up.
    """
    if "RAY_ADDRESS" in os.environ or init.get("address") not in (None, "local"):
        init.setdefault("object_store_memory", None)  # the launcher's default is for its own Ray
        return
    init.address = "local"  # and no other that happens to run here
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="studies",
    node={"_target_": f"{StudySweeper.__module__}.{StudySweeper.__name__}"},
    provider="stnlab",
)

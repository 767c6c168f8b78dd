"""Real engines as fixtures; a machine that cannot run one skips its tests and says why.

Where ``STNLAB_REQUIRE_ENGINES=1`` is set, as in CI, that is a failure.
"""

import importlib.util
import os
from collections.abc import Iterator

import pytest
from engines.local_ray import RaySandbox, RayUnavailableError, ray_sandbox
from engines.local_slurm import SlurmCluster, SlurmUnavailableError, running_slurm


def unavailable(reason: str) -> None:
    if os.environ.get("STNLAB_REQUIRE_ENGINES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    """A Slurm of one node, which submitit finds without further ado."""
    if importlib.util.find_spec("submitit") is None:
        unavailable("submitit is not installed: pip install hydra-submitit-launcher")
    try:
        with running_slurm() as cluster:
            yield cluster
    except SlurmUnavailableError as error:
        unavailable(str(error))


@pytest.fixture
def ray() -> Iterator[RaySandbox]:
    """A place for a command that starts a Ray of its own."""
    try:
        with ray_sandbox() as sandbox:
            yield sandbox
    except RayUnavailableError as error:
        unavailable(str(error))

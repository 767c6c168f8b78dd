"""What Lightning and torch do for nothing in this project's runs, switched off meanwhile."""

import contextlib
import ctypes
import os
import warnings
from collections.abc import Iterator

import torch
from pytorch_lightning.profilers import PassThroughProfiler


class NoProfiler(PassThroughProfiler):
    """Does not profile, like its base, but without making a generator around every hook."""

    _nothing = contextlib.nullcontext()

    def profile(self, action_name: str) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]  # the base has it as a generator function
        return self._nothing


@contextlib.contextmanager
def spared_of_needless_work() -> Iterator[None]:
    """Silence advice that does not apply, and spare every step a search for a GPU's driver."""
    with warnings.catch_warnings(), _without_search_for_gpus():
        # Batches are made in memory: there are no DataLoader workers to add.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")
        # Lightning's own use of torch, which only its next release can mend.
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        # Where Slurm is installed; a run is one process and needs no srun.
        warnings.filterwarnings("ignore", "The `srun` command is available")
        yield


@contextlib.contextmanager
def _without_search_for_gpus() -> Iterator[None]:
    """On a machine without a GPU, say so in CUDA_VISIBLE_DEVICES.

    Else a CUDA build of torch looks for a driver in every ``Optimizer.step``: 0.3 ms, up to 5% of a
    step here.
    """
    if torch.cuda.is_available() or "CUDA_VISIBLE_DEVICES" in os.environ:
        yield
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]


def keep_freed_memory() -> None:
    """Let the C allocator keep what is freed for the next step. Holds for the whole process.

    glibc gives large blocks back to the system, and gets them again page by page, cleared, in the
    next step: a thousand page faults and a sixth of a transformer network's step. Without glibc
    this does nothing.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3  # from glibc's malloc.h
    most_that_mmap_threshold_allows = 32 << 20
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(m_mmap_threshold, most_that_mmap_threshold_allows)
    mallopt(m_trim_threshold, 1 << 30)

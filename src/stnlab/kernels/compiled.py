"""The compiled library that the kernels are in, and which of its paths this process takes.

It is an ordinary shared library that ``pip install`` builds where there is a C compiler. Without
it, and wherever :func:`takes` says no, a kernel's caller has torch's own operators.
"""

import ctypes
import logging
import os
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import Parameter

from stnlab.errors import UserError
from stnlab.tracing import is_traced

Sizes: TypeAlias = "ctypes.Array[ctypes.c_int64]"
SWITCH = "STNLAB_KERNEL"
TORCH = "torch"
_ABI = 2  # as in paths.h
_PATHS = ("plain", "avx2", "avx512")  # in the order of paths.h
_log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def path() -> str:
    """ "avx512", "avx2" or "plain", by the processor; "torch" where there is no library.

    The environment variable STNLAB_KERNEL asks for one of them.

    Raises:
        UserError: STNLAB_KERNEL asks for what there is not.
    """
    asked, found = os.environ.get(SWITCH), None
    if asked != TORCH:
        found = library()
    best = -1 if found is None else found.stnlab_best_path()
    there = [TORCH, *_PATHS[: best + 1]]
    if asked and asked not in there:
        raise UserError(
            f"{SWITCH}={asked}: here it can be {', '.join(there)}; unset, it is the fastest."
        )
    return asked or there[-1]


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The library, or None, which is told once."""
    spec = find_spec("stnlab.kernels._kernels")
    missing = "were not built when stnlab was installed (there was no C compiler)"
    if spec is not None and spec.origin is not None:
        try:
            found = ctypes.CDLL(spec.origin)
            if found.stnlab_abi() == _ABI:
                found.stnlab_tape_size.restype = ctypes.c_int64
                return found
            missing = "are of another version of stnlab"
        except (OSError, AttributeError) as error:
            missing = f"cannot be loaded ({error})"
    _log.warning(
        "the compiled kernels %s: torch's operators do their work, and training takes two to three "
        "times as long. `pip install -e .` builds them where there is a C compiler.",
        missing,
    )
    return None


@lru_cache(maxsize=256)
def sizes(*numbers: int) -> Sizes:
    """Whole numbers as the library takes them."""
    return (ctypes.c_int64 * len(numbers))(*numbers)


def call(name: str, shape: Sizes, *arguments: Any) -> None:
    """Call a function of the library, with this process's path before ``shape``.

    A contiguous tensor stands for where its numbers begin, a list of tensors for a list of that.

    Raises:
        MemoryError: it found none for what it needs to work.
    """
    found = library()
    assert found is not None  # or nothing was taken
    if getattr(found, name)(_PATHS.index(path()), shape, *(_as_c(each) for each in arguments)):
        raise MemoryError(f"{name} found no memory for its layouts")


def _as_c(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    if isinstance(argument, (list, tuple)):
        return (ctypes.c_void_p * len(argument))(*[each.data_ptr() for each in argument])
    return argument


def takes(*tensors: Tensor) -> bool:
    """Whether kernels compute on these: plain float32 tensors on the CPU, and nothing traced."""
    return (
        not is_traced()
        and path() != TORCH
        and not torch.is_autocast_enabled("cpu")
        and all(_is_plain(each) for each in tensors)
    )


def _is_plain(tensor: Tensor) -> bool:
    return (
        type(tensor) in (Tensor, Parameter)
        and tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
    )

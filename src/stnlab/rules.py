"""How a value is refused: one sentence with the key, what was found, and what is allowed."""

import math
import re
from collections.abc import Sequence

from stnlab.errors import UserError

# Far above what can be of use, and below what overflows in a library.
MAX_WIDTH = 65_536
MAX_COUNT = 1_000_000_000
MAX_LAYERS = 100
MAX_FLOAT32 = 3.4e38
_MAX_SHOWN = 200  # characters of a value in a message


def require(condition: bool, key: str, found: object, allowed: str, remedy: str = "") -> None:
    """Refuse ``found`` for ``key`` unless ``condition`` holds.

    Raises:
        UserError: ``<key> is <found>; allowed: <allowed>. <remedy>``.
    """
    if not condition:
        shown = f"'{found}'" if isinstance(found, str) and found.isprintable() else repr(found)
        shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"
        raise UserError(f"{key} is {shown}; allowed: {allowed}.{' ' + remedy if remedy else ''}")


def require_count(key: str, found: int, at_most: int = MAX_COUNT) -> None:
    """A whole number of 1 or more."""
    require(1 <= found <= at_most, key, found, f"1 or more, at most {at_most}")


def require_one_of(key: str, found: str, allowed: Sequence[str]) -> None:
    """One of some words."""
    require(found in allowed, key, found, ", ".join(allowed))


def require_seed(key: str, found: int) -> None:
    """A seed, as NumPy and torch take it."""
    require(0 <= found < 2**32, key, found, "0 to 4294967295")


def require_probability(key: str, found: float) -> None:
    """A share that may be dropped out."""
    require(0 <= found < 1, key, found, "a probability in [0, 1)")


def require_positive(key: str, found: float, allowed: str = "above 0") -> None:
    """A finite number above 0."""
    require(math.isfinite(found) and found > 0, key, found, allowed)


def require_not_negative(key: str, found: float) -> None:
    """A finite number of 0 or more."""
    require(0 <= found < math.inf, key, found, "0 or more")


def require_widths(key: str, found: Sequence[int]) -> None:
    """The widths of one layer or more."""
    require(
        1 <= len(found) <= MAX_LAYERS and 1 <= min(found) <= max(found) <= MAX_WIDTH,
        key,
        list(found),
        f"one width of 1 or more for each layer, at most {MAX_WIDTH}",
    )


def is_text(name: str) -> bool:
    """Whether a name is text, and not made of bytes of a file system that are no UTF-8."""
    return name == name.encode(errors="replace").decode()


def require_path(key: str, found: str) -> None:
    """A path that a system can have."""
    is_one = "\0" not in found and is_text(found)
    require(is_one, key, found, "a path that the system can have")


def require_folder_name(key: str, found: str) -> None:
    """A name that can be a folder's."""
    require(
        re.fullmatch(r"[^/\\]+", found) is not None
        and found.strip(". ") != ""
        and found.isprintable()
        and len(found.encode()) <= 200,
        key,
        found,
        "a folder's name, printable, without '/' or '\\', at most 200 bytes",
    )


def require_blocks(
    key: str,
    channels: Sequence[int],
    kernel_key: str,
    kernel_sizes: Sequence[int],
    size: tuple[int, ...],
    *,
    last_pool: bool = True,
) -> None:
    """Blocks of convolution and pooling that leave something of an input of ``size``.

    Args:
        key: of the channels.
        channels: of each block.
        kernel_key: of the kernel sizes, or of the one that all blocks share.
        kernel_sizes: of each block.
        size: (height, width) in pixels, or (steps,) of a series.
        last_pool: whether the last block has its pooling.
    """
    require(
        1 <= len(channels) <= MAX_LAYERS and 1 <= min(channels) <= max(channels) <= MAX_WIDTH,
        key,
        list(channels),
        f"one number of 1 or more for each convolution, at most {MAX_WIDTH}",
    )
    require(
        len(kernel_sizes) == len(channels) and min(kernel_sizes) >= 1,
        kernel_key,
        list(kernel_sizes),
        f"a size of 1 or more for each of the {len(channels)} convolutions of {key}",
    )
    what = f"a pixel of an image of {size[0]}x{size[-1]}"
    if len(size) == 1:
        what = f"one of {size[0]} steps"
    for length in size:
        side = length
        for number, kernel_size in enumerate(kernel_sizes, start=1):
            is_pooled = last_pool or number < len(kernel_sizes)
            side = (side - kernel_size + 1) // (2 if is_pooled else 1)
        require(
            side >= 1,
            kernel_key,
            list(kernel_sizes),
            f"sizes that leave {what}",
            "Use smaller kernels.",
        )

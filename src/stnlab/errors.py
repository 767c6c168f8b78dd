"""What a user did wrong, said once and clearly."""

import difflib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Sequence


class UserError(Exception):
    """A mistake of the user's: the message names the key or file, what was found, and the remedy.

    The command line prints the message alone (:meth:`tell`), without a stack trace, and exits with
    :attr:`exit_status`.
    """

    exit_status = 1

    def tell(self) -> int:
        """Print the message as the last word of a command; returns its exit status."""
        print(f"error: {self}", file=sys.stderr)
        return self.exit_status


def wants_stack_trace() -> bool:
    """Whether the user asked for stack traces, with Hydra's own variable."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def command(main: Callable[[Sequence[str]], int | None]) -> Callable[..., int]:
    """A command line's ``main``, which raises :class:`UserError`, as one that returns its status.

    It takes the arguments of the process where none are given.
    """

    @functools.wraps(main)
    def told(arguments: Sequence[str] | None = None) -> int:
        try:
            return main(sys.argv[1:] if arguments is None else arguments) or 0
        except UserError as error:
            if wants_stack_trace():
                raise
            return error.tell()

    return told


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string."""
    nearest = difflib.get_close_matches(found, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""

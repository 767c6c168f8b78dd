"""What a user did wrong, said once and clearly."""

import difflib
import sys
from collections.abc import Iterable


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


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string."""
    nearest = difflib.get_close_matches(found, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""

"""What a user did wrong, said once and clearly."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user's: the message names the key or file, what was found, and the remedy.

    The command line prints the message alone, without a stack trace, and exits with
    :attr:`exit_status`.
    """

    exit_status = 1


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string."""
    nearest = difflib.get_close_matches(found, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""

"""Names of cells where space is short."""

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_LEAST = 16  # columns of a screen that tell a name from others


class Name:
    """A name in a table, whose end tells it from others: where it must be cut, it is in its middle.

    It is cut for a screen alone; what is written elsewhere has it whole.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(shortened(self.name, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        whole = len(self.name)
        return Measurement(min(_LEAST, whole) if console.is_terminal else whole, whole)


def shortened(name: str, width: int) -> str:
    """``name`` in at most ``width`` characters, with an ellipsis for its middle."""
    if len(name) <= width:
        return name
    end = width * 2 // 3
    return f"{name[: max(width - end - 1, 0)]}…{name[len(name) - end :]}"

"""Asked to stop: by Ctrl-C (SIGINT), or by SIGTERM, with which Slurm and others warn."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from stnlab.errors import UserError

_SECONDS_TO_STOP = 9
_stopping = False


class TerminatedError(BaseException):
    """SIGTERM came. Like KeyboardInterrupt it is no Exception: nothing should take it for one."""


Stop = KeyboardInterrupt | TerminatedError


class StoppedError(UserError):
    """The user, or the system, stopped the work; it can go on.

    Attributes:
        by: what stopped it.
        exit_status: 128 and the signal's number, as in a shell.
    """

    def __init__(self, message: str, by: Stop) -> None:
        super().__init__(message)
        self.by = by
        self.exit_status = 128 + _signal_of(by)

    def tell(self) -> int:
        """Print the message, which is no error; at a terminal in the place of its ^C."""
        from_the_left = "\r\x1b[K" if sys.stderr.isatty() else ""
        print(f"{from_the_left}{self}", file=sys.stderr)
        return self.exit_status


def _signal_of(stop: Stop) -> signal.Signals:
    return signal.SIGTERM if isinstance(stop, TerminatedError) else signal.SIGINT


@contextlib.contextmanager
def stoppable() -> Iterator[bool]:
    """Within the block the first SIGINT or SIGTERM raises KeyboardInterrupt or TerminatedError.

    Those that follow are ignored, so that the work can be left tidily. Should that take too long,
    in a library that does not return, the system ends the process. Nothing is done to a process
    that ignores SIGINT, and in a thread.

    Yields:
        Whether this block did it, and not one around it.
    """
    global _stopping  # noqa: PLW0603  # signals are the process's, too
    if threading.current_thread() is not threading.main_thread():
        yield True
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGTERM] is _stop:
        yield False
        return
    if before[signal.SIGINT] is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield True
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if _stopping:
            signal.alarm(0)
        _stopping = False


def _stop(number: int, _: FrameType | None) -> None:
    global _stopping  # noqa: PLW0603
    if _stopping:
        return
    _stopping = True
    signal.alarm(_SECONDS_TO_STOP)  # its default action ends the process
    raise TerminatedError if number == signal.SIGTERM else KeyboardInterrupt

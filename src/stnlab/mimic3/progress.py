"""How far it is: rows, rate and time left, on one line of a terminal or now and then in a pipe."""

import sys
import time
from typing import TextIO

_SECONDS_ON_A_TERMINAL, _SECONDS_IN_A_PIPE = 0.2, 10.0


class Progress:
    """Tells how far a stage of the work is, once it has gone on for a while."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._pause = _SECONDS_ON_A_TERMINAL if self._is_terminal else _SECONDS_IN_A_PIPE
        self._stage, self._began, self._told = "", 0.0, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """``done`` of about ``total`` rows of a stage are done."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._told = stage, now, now
        if now - self._told < self._pause:
            return
        self._told = now
        rate = done / (now - self._began)
        total = max(total, done)
        left = (total - done) / rate if rate else 0.0
        line = (
            f"{stage}: {_short(done)} of about {_short(total)} rows ({done / total:.0%}), "
            f"{_short(rate)} a second, {_clock(left)} left"
        )
        print(f"\r\x1b[2K{line}" if self._is_terminal else line, end="", file=self._stream)
        print("" if self._is_terminal else "\n", end="", file=self._stream, flush=True)

    def clear(self) -> None:
        """Take the line of a terminal away."""
        if self._is_terminal:
            print("\r\x1b[2K", end="", file=self._stream, flush=True)


def _short(number: float) -> str:
    return f"{number / 1e6:.1f} million" if number >= 1e6 else f"{number:,.0f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

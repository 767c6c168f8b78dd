"""Standard output and error that may be full, or gone: a line lost there is not worth an epoch."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class _Forgiving:
    """A stream that falls silent when it can no longer be written."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._fall_silent(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._fall_silent(error)

    def _fall_silent(self, error: OSError) -> None:
        """Lead what is still to be written nowhere, the interpreter's last words among it."""
        with contextlib.suppress(OSError, io.UnsupportedOperation):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if self._name != "stderr" and sys.stderr is not None:
            print(
                f"{self._name} cannot be written ({error.strerror}): nothing more is shown, and "
                "the work goes on.",
                file=sys.stderr,
            )


@contextlib.contextmanager
def that_may_break() -> Iterator[None]:
    """Within the block no work ends because a line could not be printed."""
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    for name, stream in before.items():
        if stream is not None and not isinstance(stream, _Forgiving):
            setattr(sys, name, cast("TextIO", _Forgiving(stream, name)))
    ours = {name: getattr(sys, name) for name in before}
    try:
        yield
    finally:
        for name, stream in before.items():
            if stream is not None:
                ours[name].flush()
            if getattr(sys, name) is ours[name]:  # and not what another put there
                setattr(sys, name, stream)

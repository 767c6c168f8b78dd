"""Files from the network: over TLS alone, bounded, checked by their sum, whole or not at all."""

import contextlib
import hashlib
import ssl
import urllib.request
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from stnlab.errors import UserError
from stnlab.files import replacing

_TIMEOUT = 60  # seconds without a byte


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Bounded:
    """A stream that raises an error with ``message`` rather than give more than ``limit`` bytes."""

    def __init__(self, stream: Readable, limit: int, message: str) -> None:
        self._stream, self._message, self._left = stream, message, limit

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UserError(self._message)
        return data


def fetch(
    url: str,
    path: Path,
    sha256: str | None,
    *,
    key: str,
    max_bytes: int,
    schemes: Collection[str] = ("https",),
) -> None:
    """Download ``url``; ``path`` appears when it is whole and has the right sum, or not at all.

    Args:
        url: its scheme, and that of each redirection, is one of ``schemes``.
        path: its folder is there.
        sha256: of its content; None where nobody has published it.
        key: what the user asked for it with, for messages.
        max_bytes: it has no more.
        schemes: allowed ones.

    Raises:
        UserError: when the sum is another, or it is too long.
        OSError, http.client.HTTPException: when it cannot be had.
    """
    with (
        contextlib.closing(_opener(schemes).open(url, timeout=_TIMEOUT)) as answer,
        replacing(path) as temporary,
        temporary.open("wb") as file,
    ):
        too_large = f"{key}: {url} gives more than {max_bytes:,} bytes; nothing was kept."
        stream, digest = Bounded(answer, max_bytes, too_large), hashlib.sha256()
        while block := stream.read(1 << 16):
            digest.update(block)
            file.write(block)
        if sha256 not in (None, digest.hexdigest()):
            raise UserError(
                f"{key}: {url} has the SHA-256 {digest.hexdigest()}, not {sha256}: it was cut off "
                "or changed on the way, or another edition was published. Nothing was kept. Try "
                f"again, or get it by hand, check it, and put it into {path.parent}."
            )


def reason_of(error: Exception) -> str:
    """Why something could not be had, in the words of what failed."""
    return str(error).removeprefix("<urlopen error ").removesuffix(">")


def _opener(schemes: Collection[str]) -> urllib.request.OpenerDirector:
    """Opens addresses of these schemes alone, redirections included; certificates are checked."""
    opener = urllib.request.OpenerDirector()
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    if "http" in schemes:
        handlers.append(urllib.request.HTTPHandler())
    for handler in handlers:
        opener.add_handler(handler)
    return opener

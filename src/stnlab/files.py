"""Writing files so that nothing half-written is ever read."""

import os
from pathlib import Path

from stnlab.errors import UserError


def unwritable(path: Path, error: OSError) -> UserError:
    """What to say when ``path`` cannot be written."""
    return UserError(
        f"output_dir: cannot write to {path} ({error.strerror or error}). "
        "Name another folder with output_dir=… ."
    )


def write_atomically(path: Path, content: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

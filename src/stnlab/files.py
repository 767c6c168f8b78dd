"""Writing files so that nothing half-written is ever read, and reading them back."""

import os
from pathlib import Path
from typing import Any

import yaml

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
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_yaml(path: Path) -> Any:
    """What a YAML file of plain values holds.

    Raises:
        ValueError: it cannot be read, or has aliases, which can stand for more than memory holds.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return yaml.load(file, _LoaderWithoutAliases)
    except Exception as error:  # PyYAML raises many kinds for a damaged file
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


class _LoaderWithoutAliases(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "it has an alias")
        return super().compose_node(parent, index)

"""What datasets of a user's own share: where they lie, and what is held out of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from stnlab.errors import UserError
from stnlab.parts import DatasetPart
from stnlab.rules import require, require_path, require_seed

# Tables set results on these beside published numbers.
_TAKEN = (
    *("rot90", "RTS", "two-channel", "same-image", "mimic", "mimic-synthetic", "physionet2012"),
    *("jaderberg-r", "jaderberg-rts", "jaderberg-p", "jaderberg-e", "jaderberg-tc"),
)


@dataclass
class OwnData(DatasetPart):
    """A dataset in ``root``, which has no other place."""

    layouts: ClassVar[str] = ""  # what root may hold, in words

    val_size: int | float | None = None  # count or share held out of training; null: 0.1
    test_size: int | float | None = None  # the same for the test; null: 0.2, or the data's own
    seed: int = 0  # of what is held out, and of the test distortions; not the run's seed

    def check_keys(self) -> str:
        """Refuse what can be told before anything is read; else the root.

        Raises:
            UserError: naming the key.
        """
        require(
            self.name not in _TAKEN,
            "dataset.name",
            self.name,
            "a name of its own",
            "Those of the project's own datasets stand beside published numbers.",
        )
        for key in ("val_size", "test_size"):
            size = getattr(self, key)
            require(
                size is None or 0 <= size < (2**31 if isinstance(size, int) else 1),
                f"dataset.{key}",
                size,
                "a count of 0 or more, a share of 0 to below 1, or null",
            )
        require_seed("dataset.seed", self.seed)
        if self.root is None:
            raise UserError(
                f"dataset.root has no value, and this dataset has no place of its own: name a "
                f"folder. It may hold {self.layouts}. docs/own-data.md shows each."
            )
        require_path("dataset.root", self.root)
        return self.root

    @property
    def place(self) -> str:
        """What the data is called: the folder's name, or the file's."""
        return Path(str(self.root)).resolve().name

    def kept_checksums(self, source: Callable[[], tuple[list[Path], list[Path]]]) -> dict[str, str]:
        """The checksum of the data, read again only where something has changed.

        ``source`` gives the files that are read, and the folders or files that decide which.
        """
        from stnlab.data import checksum

        try:
            files, deciding = source()
        except UserError:
            return {}
        root = Path(str(self.root))
        folder = root if root.is_dir() else root.parent
        return checksum.kept(
            folder,
            f"own data {root.name}",
            deciding,
            lambda: {"sha256": checksum.of_files(folder, files)},
        )

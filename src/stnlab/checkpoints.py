"""Checkpoints of runs: where they lie, and how they are read.

Importing this takes no torch, so that a config which names one is refused at once.
"""

import functools
import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

from stnlab.errors import UserError

_CONTENT = {"state_dict", "callbacks", "global_step", "optimizer_states"}


def checkpoint_of(init_from: str) -> Path:
    """The checkpoint that ``init_from`` names: a run's folder stands for its last weights."""
    path = Path(init_from)
    # os.path's is False, where Path's raises, for names that no system can have.
    return path / "checkpoints" / "last.ckpt" if os.path.isdir(path) else path  # noqa: PTH112  # see above


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only plain containers and tensors are accepted.

    Raises:
        UserError: the file is damaged.
    """
    checkpoint = _load(path)
    if not checkpoint.keys() >= _CONTENT:
        raise damaged(path, "it is no checkpoint of a run")
    return checkpoint


def load_epoch(path: Path) -> dict[str, Any]:
    """The network's weights at the end of one epoch, as ``trainer.keep_epochs`` has them.

    Raises:
        UserError: the file is damaged.
    """
    import torch

    weights = _load(path)
    if not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise damaged(path, "what it holds are no weights")
    return weights


def _load(path: Path) -> dict[str, Any]:
    import torch

    try:
        _require_intact(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise damaged(path, type(error).__name__) from error
    if not isinstance(content, dict):
        raise damaged(path, "it is no checkpoint of a run")
    return content


def _require_intact(path: Path) -> None:
    """Compare the parts of a checkpoint with the checksums in it, which torch writes, never reads.

    Without this a flipped bit of a weight would be another weight.
    """
    with zipfile.ZipFile(path) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise zipfile.BadZipFile("torch packs nothing")
        broken = archive.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"{broken} does not match its checksum")


def damaged(path: Path, reason: str) -> UserError:
    """What to say of a run's own checkpoint that is of no use."""
    return UserError(
        f"{path} is damaged ({reason}). Move {path.parent} away to start this run from its "
        "beginning."
    )


def load_weights(path: Path) -> dict[str, Any]:
    """The weights of a checkpoint that ``init_from`` names, by parameter.

    Raises:
        UserError: it cannot be read.
    """
    import torch

    try:
        weights = load_checkpoint(path)["state_dict"]
        if not all(isinstance(each, torch.Tensor) for each in dict(weights).values()):
            raise TypeError("what it holds are no weights")
    except (UserError, TypeError, ValueError) as error:
        reason = str(error.__cause__ or error).split(". Move")[0]
        raise UserError(
            f"init_from: {path} cannot be read as a run's checkpoint ({reason}). Name another "
            "run's folder, or another checkpoint."
        ) from error
    return dict(weights)


def weights_checksum(path: Path) -> str:
    """SHA-256 of a checkpoint's weights, which does not change with what else lies beside them.

    Raises:
        UserError: it cannot be read.
    """
    found = path.stat()
    return _weights_checksum(path, (found.st_size, found.st_mtime_ns, found.st_ino))


@functools.lru_cache(maxsize=16)
def _weights_checksum(path: Path, _state: tuple[int, ...]) -> str:
    import torch

    digest = hashlib.sha256()
    for name, weight in load_weights(path).items():
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

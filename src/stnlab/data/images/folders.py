"""Folders of image files, one for each class."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from stnlab.data.images.source import ImageSource, Pixels, Size, as_pixels, resized
from stnlab.data.labels import PARTS, encode
from stnlab.errors import UserError
from stnlab.rules import is_text

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
# What systems leave in a folder beside the user's files.
_LEFT_BY_SYSTEMS = {"thumbs.db", "desktop.ini", "__macosx"}
_DEEP = "I;16", "I;16L", "I;16B", "I;16N", "I", "F"  # PIL's modes of more than 8 bits


def find(root: Path) -> Callable[[], ImageSource] | None:
    """What opens the folders of ``root``, if there are any that may be classes or parts."""
    folders = [each for each in _entries(root) if each.is_dir()]
    names = {each.name for each in folders}
    if names & {"train", "test"}:
        return functools.partial(_parts, root)
    # What torchvision has fetched lies in NAME/raw, and is no class.
    fetched = [each for each in folders if each.name == "raw" or (each / "raw").is_dir()]
    if any(_entries(each) for each in folders if each not in fetched):
        return functools.partial(Folders, {"train": folders})
    return None


def _parts(root: Path) -> "Folders":
    if not (root / "train").is_dir():
        raise UserError(f"dataset.root: {root} has a folder test/, but no train/.")
    parts = {}
    for part in PARTS:
        if (root / part).is_dir():
            parts[part] = [each for each in _entries(root / part) if each.is_dir()]
            for each in _entries(root / part):
                if not each.is_dir():
                    raise UserError(
                        f"dataset.root: {each} lies outside of any class: {root / part} holds a "
                        "folder for each class, and nothing else. Move it away."
                    )
            if not parts[part]:
                raise UserError(
                    f"dataset.root: {root / part} is empty: it needs a folder for each class."
                )
    return Folders(parts)


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without what is hidden."""
    return sorted(
        each
        for each in folder.iterdir()
        if not each.name.startswith(".") and each.name.lower() not in _LEFT_BY_SYSTEMS
    )


class Folders(ImageSource):
    """Image files; the class of each is the name of its folder."""

    def __init__(self, classes: dict[str, list[Path]]) -> None:
        """``classes`` are the folders of each part."""
        self._paths = {
            part: [file for folder in folders for file in _images(folder)]
            for part, folders in classes.items()
        }
        where = str(classes["train"][0].parent)
        self.classes, self.labels = encode(
            {part: np.array([f.parent.name for f in files]) for part, files in self._paths.items()},
            where,
        )
        self.folders = [folder for folders in classes.values() for folder in folders]
        self.files = [file for files in self._paths.values() for file in files]
        first = _read(self.files[0])
        self.channels, self.size = len(first.getbands()), (first.height, first.width)

    def names(self, part: str) -> list[str]:
        return ["/".join(file.parts[-2:]) for file in self._paths[part]]

    def read(self, part: str, channels: int, size: Size | None, alike: bool) -> Pixels:
        files = self._paths[part]
        pixels = np.empty((len(files), channels, *(size or self.size)), np.uint8)
        for place, file in enumerate(files):
            image = _read(file)
            if size is None and (image.height, image.width) != self.size:
                raise UserError(
                    f"dataset.root: {file} is {image.height}x{image.width} pixels (height x "
                    f"width), and {self.files[0]}, the first, {self.size[0]}x{self.size[1]}. Set "
                    f"dataset.size=[{self.size[0]},{self.size[1]}] or another to have all resized."
                )
            if alike and len(image.getbands()) != self.channels:
                kinds = {1: "grey", 3: "in colour"}
                raise UserError(
                    f"dataset.root: {file} is {kinds[len(image.getbands())]}, and {self.files[0]}, "
                    f"the first, {kinds[self.channels]}. Set dataset.color=rgb or =grey to have "
                    "all alike."
                )
            pixels[place] = as_pixels(resized(image, channels, size))
        return pixels


def _images(folder: Path) -> list[Path]:
    files = _entries(folder)
    for each in (folder, *files):
        _require_text(each)
    if not files:
        raise UserError(
            f"dataset.root: {folder} is empty: a class has one image or more. Remove the folder, "
            "or give images."
        )
    for file in files:
        if file.is_dir():
            raise UserError(
                f"dataset.root: {file} is a folder inside of a class: {folder} holds images and "
                "nothing else. Move its images up, or the folder away."
            )
        if file.suffix.lower() not in ENDINGS:
            raise UserError(
                f"dataset.root: {file} is no image that is read; allowed: {', '.join(ENDINGS)}. "
                "Convert it, or move it away."
            )
    return files


def _require_text(path: Path) -> None:
    """Refuse a name of other bytes than UTF-8: no results could be written with it."""
    if not is_text(path.name):
        shown = str(path).encode(errors="replace").decode()
        raise UserError(
            f"dataset.root: {shown} has a name that is not UTF-8 text ('?' stands for what is no "
            "character). Rename it."
        )


def _read(file: Path) -> Image.Image:
    """An image as it is to be seen, grey ("L") or in colour ("RGB").

    Raises:
        UserError: it is broken, has more than 8 bits a channel, or lets something shine through.
    """
    try:
        with Image.open(file) as opened:
            opened.load()
            image = ImageOps.exif_transpose(opened)
    except Exception as error:  # PIL raises many kinds for a damaged file
        reason = str(error) if str(file) not in str(error) else "it is no image, or damaged"
        raise UserError(
            f"dataset.root: {file} cannot be read as an image ({reason or type(error).__name__}). "
            "Give it anew, or move it away."
        ) from error
    if image.mode in _DEEP:
        raise UserError(
            f"dataset.root: {file} has more than 8 bits a channel (PIL's mode {image.mode}). "
            "Convert the images to 8 bits, so that it is you who says how."
        )
    if image.has_transparency_data:
        if np.asarray(image.convert("RGBA").getchannel("A")).min() < 255:
            raise UserError(
                f"dataset.root: {file} has transparent pixels. Convert the images to grey or RGB, "
                "so that it is you who says what shines through."
            )
        image = image.convert("L" if image.mode in ("LA", "La") else "RGB")
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")

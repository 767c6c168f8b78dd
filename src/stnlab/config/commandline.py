"""What was typed, read by Hydra's own parser before Hydra acts on it."""

import argparse
import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from stnlab.config.text import keep_text
from stnlab.errors import UserError

_SEARCHPATH = "hydra.searchpath"
# What the command that runs now was given, for Hydra's plugins in its process.
_given: list[str] = []
_searchpath: list[str] = []


def read(argv: Sequence[str]) -> argparse.Namespace:
    """Hydra's options and the overrides, in which text keeps its text and folders are absolute.

    Raises:
        UserError: for an option of Hydra's that the project does not have.
    """
    args = parser().parse_intermixed_args(argv)
    if args.experimental_rerun is not None:
        raise UserError(
            "--experimental-rerun unpickles a file, which can run whatever is in it. Give the "
            "run's overrides again."
        )
    if args.config_path is not None:
        raise UserError(
            "--config-path: the project's configs are in conf/. --config-dir=FOLDER adds a folder "
            "of your own to them."
        )
    if args.config_dir is not None:
        args.config_dir = str(Path(args.config_dir).absolute())
    args.overrides = keep_text(args.overrides)
    return args


def parser() -> argparse.ArgumentParser:
    """Hydra's parser of options."""
    with _help_of_any_kind():
        return get_args_parser()


@contextlib.contextmanager
def _help_of_any_kind() -> Iterator[None]:
    """Let an option's help be no text.

    Hydra 1.3 has one that becomes text when it is shown. Python 3.14 formats each help when its
    option is added, and refuses that one; Hydra 1.4 steps around it in the same way.
    """
    container: Any = argparse._ActionsContainer
    check = getattr(container, "_check_help", None)
    if check is None:
        yield
        return

    def check_text(self: Any, action: argparse.Action) -> None:
        if isinstance(action.help, str):
            check(self, action)

    container._check_help = check_text
    try:
        yield
    finally:
        container._check_help = check


def folders(args: argparse.Namespace) -> list[Path]:
    """The folders of configs that the command adds to ``conf/``.

    Raises:
        UserError: one is not there.
    """
    found = [Path(args.config_dir)] if args.config_dir else []
    found += [Path(each.removeprefix("file://")) for each in _searched(args) if _is_folder(each)]
    for folder in found:
        if not folder.is_dir():
            option = "--config-dir" if str(folder) == args.config_dir else _SEARCHPATH
            raise UserError(f"{option}: there is no folder {folder}.")
    return found


def _searched(args: argparse.Namespace) -> list[str]:
    """The folders of ``hydra.searchpath``, absolute, and packages."""
    given = [each for each in args.overrides if key_of(each) == _SEARCHPATH]
    if not given:
        return []
    try:
        value = OverridesParser.create().parse_override(given[-1]).value()
    except HydraException:  # which tells of it
        return []
    listed = OmegaConf.to_container(OmegaConf.create({"": value}), resolve=True)
    assert isinstance(listed, dict)
    found = listed[""]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise UserError(
            f"{_SEARCHPATH} is {found!r}; allowed: a list of folders, as in "
            f"{_SEARCHPATH}=[/home/me/conf]."
        )
    return [
        f"file://{Path(each.removeprefix('file://')).absolute()}" if _is_folder(each) else each
        for each in found
    ]


def _is_folder(searched: str) -> bool:
    return "://" not in searched or searched.startswith("file://")


@contextlib.contextmanager
def in_charge(args: argparse.Namespace) -> Iterator[None]:
    """Within the block Hydra finds the command's folders, in its process and in its workers."""
    folders(args)
    # Hydra 1.4 warns of each callback; this one is no config's choice.
    warnings.filterwarnings("ignore", message=f".*{Given.__module__}.{Given.__name__}'")
    _searchpath[:] = _searched(args)
    args.overrides = [each for each in args.overrides if key_of(each) != _SEARCHPATH]
    try:
        yield
    finally:
        _searchpath.clear()
        _given.clear()


def add_folders(search_path: ConfigSearchPath) -> None:
    """Add what ``hydra.searchpath`` named, so that it is there for every config composed."""
    for each in _searchpath:
        search_path.append(_SEARCHPATH, each)


def parse(overrides: Sequence[str]) -> list[Override]:
    """The overrides, read.

    Raises:
        HydraException: for one that cannot be.
    """
    return OverridesParser.create().parse_overrides(list(overrides))


def only(own: list[str], args: argparse.Namespace) -> None:
    """Let Hydra compose its config of many runs from ``own`` and from its own keys alone.

    It would give that config every override that has one value, which may be for what only some
    run has: a key of a model that the command names. The sweeper gets them all.
    """
    overrides = parse(args.overrides)
    hydras = [each for each in overrides if is_hydras(each)]
    _given[:] = [str(each.input_line) for each in overrides if not is_hydras(each)]
    args.overrides = [
        *own,
        *(str(each.input_line) for each in hydras),
        f"+hydra.callbacks.stnlab._target_={Given.__module__}.{Given.__name__}",
    ]


def is_hydras(override: Override) -> bool:
    """Whether it is for one of Hydra's own keys."""
    return override.key_or_group.replace("/", ".").split(".")[0] == "hydra"


class _NotGivenError(BaseException):  # Hydra makes a warning of an Exception, and goes on without
    """The sweeper does not have the overrides."""


class Given(Callback):
    """Hands the sweeper the overrides that Hydra was not given, and the runs' results alone."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Put them where Hydra takes them from."""
        try:
            with read_write(config.hydra.overrides):
                config.hydra.overrides.task = list(_given)
        except Exception as error:
            raise _NotGivenError from error

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Let go of each run's config: a fifth of a megabyte, for as long as its launch lasts."""
        job_return.cfg = job_return.hydra_cfg = None


def key_of(override: str) -> str:
    """The key or group of an override as it is written."""
    return override.split("=", maxsplit=1)[0].lstrip("+~")

"""A user's own parts: modules that are named on the command line or in the environment.

Nothing is imported because a config says so. ``--with FILE_OR_MODULE`` takes a Python file, an
installed module, or a name that an installed package offers as entry point of the group
``stnlab.parts``; ``STNLAB_WITH`` in the environment takes several, separated as in ``PATH``, and is
how a sweep tells its workers.
"""

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from stnlab.errors import UserError, did_you_mean

VARIABLE = "STNLAB_WITH"
_OPTION = "--with"
_ENTRY_POINTS = "stnlab.parts"


class Extension(NamedTuple):
    """A module that was imported, and what tells whether it has changed since."""

    module: str
    path: Path  # its file, or the folder of a package
    sha256: str


_LOADED: dict[str, Extension] = {}


def take_from(arguments: list[str]) -> list[str]:
    """Import what ``--with`` names among a command's arguments; returns the others.

    What is imported is noted in the environment, for the processes that this one starts.

    Raises:
        UserError: a module is missing, or cannot be imported.
    """
    rest, named, each = [], [], iter(arguments)
    for argument in each:
        if argument == _OPTION:
            value = next(each, "")
        elif argument.startswith(f"{_OPTION}="):
            value = argument.removeprefix(f"{_OPTION}=")
        else:
            rest.append(argument)
            continue
        if not value:
            raise UserError(f"{_OPTION} names no module. Write {_OPTION} my_parts.py, for example.")
        named.append(value)
    load(*named)
    return rest


def load(*named: str) -> None:
    """Import modules with parts of one's own, by file or by name, and those of the environment.

    Raises:
        UserError: a module is missing, or cannot be imported.
    """
    from_environment = os.environ.get(VARIABLE, "").split(os.pathsep)
    for name in [*(each for each in from_environment if each and each not in _LOADED), *named]:
        module = _imported(name)
        path = _place(module)
        _LOADED[module.__name__] = Extension(module.__name__, path, _sha256(path))
    if _LOADED:
        _tell_children()


def loaded() -> list[Extension]:
    """What has been imported, by module."""
    return [_LOADED[name] for name in sorted(_LOADED)]


def _imported(name: str) -> ModuleType:
    is_file = name.endswith(".py") or os.sep in name or "/" in name
    offered = {each.name: each for each in entry_points(group=_ENTRY_POINTS)}
    if is_file:
        module = _name_of_file(Path(name).expanduser())
    elif name in offered:
        module = offered[name].module
    else:
        module = name
        if not re.fullmatch(r"[\w.]+", name) or _spec(name) is None:
            known = f" Installed packages offer: {', '.join(offered)}." if offered else ""
            raise UserError(
                f"{_OPTION} {name}: no such module is installed."
                f"{did_you_mean(name, offered)}{known} A file is named with its ending, as in "
                f"{_OPTION} my_parts.py."
            )
    try:
        return importlib.import_module(module)
    except UserError as error:
        raise UserError(f"{_OPTION} {name}: {error}") from error
    except Exception as error:  # whatever a user's file may raise
        raise UserError(f"{_OPTION} {name}: {_reason(error, module)}") from error


def _name_of_file(path: Path) -> str:
    """Make a file importable by its own name, in this process and in those that it starts."""
    path = path.resolve()
    name = path.stem
    if not path.is_file():
        raise UserError(f"{_OPTION} {path}: there is no such file.")
    if not name.isidentifier():
        raise UserError(f"{_OPTION} {path}: {name!r} is no name for a module. Rename the file.")
    here = str(path.parent)
    known = sys.modules.get(name)
    spec = known.__spec__ if known is not None else _spec(name)
    if spec is None:
        sys.path.append(here)
        importlib.invalidate_caches()
        spec = _spec(name)
    if spec is None or spec.origin is None or not Path(spec.origin).samefile(path):
        raise UserError(
            f"{_OPTION} {path}: another module is called {name} "
            f"({spec.origin if spec else 'built in'}). Rename the file."
        )
    if here not in sys.path:
        sys.path.append(here)
    return name


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _place(module: ModuleType) -> Path:
    path = Path(module.__file__ or module.__name__)
    return path.parent if path.name == "__init__.py" else path


def _sha256(path: Path) -> str:
    """Of a file, or of all Python files of a package."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _reason(error: Exception, module: str) -> str:
    """What went wrong in a user's module, and where."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}."
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == module:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {error}. HYDRA_FULL_ERROR=1 shows the stack trace."


def _tell_children() -> None:
    """Put into the environment what the processes need that this one starts."""
    os.environ[VARIABLE] = os.pathsep.join(each.module for each in loaded())
    folders = dict.fromkeys(str(each.path.parent) for each in loaded())
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    added = [each for each in folders if each in sys.path and each not in before]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*before, *added]))

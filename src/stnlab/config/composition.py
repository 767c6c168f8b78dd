"""From Hydra's overrides to a typed, validated :class:`ExperimentConfig`.

Hydra composes; here its result is checked for what it lets pass (``+new=key`` on a typed node,
values removed with ``~``), and its errors are put into words that name the key and the remedy.
"""

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from traceback import walk_tb
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from stnlab import extensions, schema
from stnlab.config import source
from stnlab.config.text import keep_text
from stnlab.config.validation import validate, validate_sweep
from stnlab.data.places import CONF_DIR
from stnlab.errors import UserError, did_you_mean

_PATH_AT_HOME = re.compile(
    r"(?P<key>(output_dir|dataset\.root|init_from))=(?P<quote>['\"]?)(?P<path>~[^'\"]*)(?P=quote)"
)
# Hydra 1.3 asks which version's behaviour is meant; 1.4 has one, and warns where it is asked for.
VERSION_BASE = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}

_MAX_MESSAGE = 1000  # characters
_HYDRAS, _OURS = ("antlr4", "hydra", "omegaconf"), ("hydra_plugins", "stnlab")

schema.register()
source.register()


def compose(
    overrides: Sequence[str] = (), config_name: str = "train", conf_dir: Path = CONF_DIR
) -> schema.ExperimentConfig:
    """Compose ``<conf_dir>/<config_name>.yaml`` with ``overrides``, as the command line does.

    Raises:
        UserError: for anything that is wrong with the overrides or the files.
    """
    return from_hydra(_compose(overrides, config_name, conf_dir))


def compose_study(name: str) -> schema.StudyConfig:
    """The study of ``conf/study/<name>.yaml``.

    Raises:
        UserError: there is none, or it is wrong.
    """
    study = sweep_from_hydra(_compose([f"study={name}"], "sweep", CONF_DIR)).study
    assert study is not None
    return study


def _compose(overrides: Sequence[str], config_name: str, conf_dir: Path) -> DictConfig:
    try:
        with in_hydra(conf_dir):
            return composed_by_hydra(keep_text(with_home(overrides)), config_name)
    except Exception as error:  # TypeError for ~a.list.0, RecursionError for [[[[…, and more
        if not is_of_hydra(error):
            raise
        raise explain(error) from error


def in_hydra(conf_dir: Path = CONF_DIR) -> AbstractContextManager[None]:
    """Have Hydra set up within the block; for a block of several compositions, once."""
    # Under hydra.main, Hydra stands ready with the same folder, and can be set up only once.
    if GlobalHydra.instance().is_initialized():
        return nullcontext()
    return hydra.initialize_config_dir(str(conf_dir), **VERSION_BASE)


def composed_by_hydra(overrides: Sequence[str], config_name: str = "train") -> DictConfig:
    """What Hydra, which is set up, makes of overrides that it can read as they are."""
    return hydra.compose(config_name, overrides=list(overrides))


def with_home(overrides: Sequence[str]) -> list[str]:
    """Overrides with ``~`` as Hydra's grammar can read it, where a shell has left it alone.

    So is the folder of a run, ``…/seed=0``, in ``init_from``, which would else need quotes.
    """
    return [_escaped(_expanded(each)) for each in overrides]


def _escaped(override: str) -> str:
    if not re.match(r"init_from=[^'\"]", override):
        return override
    return re.sub(r"(?<!^init_from)(?<!\\)=", r"\\=", override)


def _expanded(override: str) -> str:
    found = _PATH_AT_HOME.fullmatch(override)
    if not found:
        return override
    path = os.path.expanduser(found["path"])  # noqa: PTH111  # which leaves what nobody has
    escaped = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"{found['key']}='{escaped}'"


def from_hydra(composed: DictConfig) -> schema.ExperimentConfig:
    """Turn what Hydra composed into the typed config, and validate it.

    Raises:
        UserError: for an unknown key, a missing value, or a rule that is broken.
    """
    extensions.load()  # a worker of a sweep is told by the environment
    return valid(_typed(composed))


def valid(config: Any) -> schema.ExperimentConfig:
    """The typed config of a run, when it has passed the rules.

    Raises:
        UserError: for a rule that is broken.
    """
    assert isinstance(config, schema.ExperimentConfig)
    validate(config)
    return config


def sweep_from_hydra(composed: DictConfig) -> schema.SweepConfig:
    """Turn what Hydra composed for a sweep into the typed config, and validate the sweep's keys.

    Raises:
        UserError: for an unknown key, a missing value, or a rule that is broken.
    """
    config = _typed(composed)
    assert isinstance(config, schema.SweepConfig)
    validate_sweep(config)
    return config


def _typed(composed: DictConfig) -> Any:
    try:
        require_known_keys(composed)
        for key in sorted(OmegaConf.missing_keys(composed)):
            group = key.split(".")[0]
            choose = f", or choose a file of conf/{group}/" if (CONF_DIR / group).is_dir() else ""
            raise UserError(f"'{key}' has no value. Set it{choose}.")
        return to_typed(composed)
    except OmegaConfBaseException as error:  # an interpolation that leads nowhere, for example
        raise explain(error) from error


def require_known_keys(composed: DictConfig) -> None:
    """Refuse a config that is none of a run, and one with keys that no type has.

    Raises:
        UserError: naming the first such key.
    """
    found = OmegaConf.get_type(composed)
    if not (isinstance(found, type) and issubclass(found, schema.ExperimentConfig)):
        raise UserError(
            "--config-name: this config is none of a run. Let its defaults begin with "
            "schema/experiment and experiment, as those of conf/train.yaml do."
        )
    for key, parent in _unknown_keys(composed):
        raise unknown_key(key, parent)


def to_typed(composed: DictConfig) -> Any:
    """The typed config of what Hydra composed, all of whose keys are known.

    Raises:
        OmegaConfBaseException: a key has no value, or one that cannot be.
        UserError: a home that there is not.
    """
    typed = OmegaConf.to_object(composed)
    _require_plain_lists(typed)
    return _with_home(typed)


def _require_plain_lists(node: Any, prefix: str = "") -> None:
    """Refuse a mapping or a list where a list has plain values: OmegaConf lets them in."""
    for field in dataclasses.fields(node):
        key, value = f"{prefix}{field.name}", getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            _require_plain_lists(value, f"{key}.")
        elif isinstance(value, list):
            is_nested = "list[list" in str(field.type)
            for each in value:
                inner = each if is_nested and isinstance(each, list) else [each]
                if any(isinstance(one, dict | list) for one in inner):
                    raise UserError(f"'{key}' is {value}; allowed: plain values, as in [1,2].")


def _with_home(config: Any) -> Any:
    """Where a shell has left ``~`` alone, as in ``output_dir=~/runs``, it is the user's home."""
    for key, owner in (("output_dir", config), ("dataset.root", config.dataset)):
        name = key.rpartition(".")[2]
        value = getattr(owner, name)
        if isinstance(value, str) and value.startswith("~"):
            expanded = os.path.expanduser(value)  # noqa: PTH111  # which leaves what nobody has
            if expanded == value:
                raise UserError(
                    f"{key} is '{value}'; allowed: a folder. {value.split('/')[0]} is no home that "
                    f"the system knows. Write the whole path, or ./{value} for a folder so called."
                )
            setattr(owner, name, expanded)
    return config


def explain(error: BaseException) -> UserError:
    """Put an error of Hydra or OmegaConf into one message that names the key and the remedy."""
    words = " ".join(str(_explained(error)).split())
    if len(words) > _MAX_MESSAGE:  # the remedy is at the end
        words = f"{words[: _MAX_MESSAGE // 2]} … {words[-_MAX_MESSAGE // 2 :]}"
    return UserError("".join(each if each.isprintable() else ascii(each)[1:-1] for each in words))


def _explained(error: BaseException) -> UserError:
    # Hydra chains OmegaConf's error for an override, and leaves it as the context for a file.
    chained = error.__cause__ or error.__context__
    is_chained = isinstance(error, HydraException) and isinstance(chained, OmegaConfBaseException)
    cause = chained if is_chained else error
    where = re.match(r"In '([^']+)'", str(error))
    place = f" (in conf/{where[1]}.yaml)" if where else ""
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
        return unknown_key(cause.full_key, cause.object_type, place)
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        key = str(cause.full_key)
        reason = str(cause.msg or cause).splitlines()[0]
        hint = " Write it with a point, as in 1.0" if "hint 'float'" in reason else ""
        return UserError(f"'{key}': {reason}{place}.{hint}")
    if isinstance(error, MissingConfigException):
        return _unknown_option(str(error))
    if "Config group override must be a string" in str(error):
        return UserError("a config group takes the name of one of its files, as in dataset=rot90.")
    if isinstance(error, RecursionError):
        return UserError("cannot read the overrides: one is nested too deeply.")
    if "sys.set_int_max_str_digits" in str(error):
        return UserError("cannot read the overrides: one has a number of thousands of digits.")
    if found := re.search("Invalid plugin '(.*)': not the hydra_plugins package", str(error)):
        return UserError(
            f"'{found[1]}' is none of Hydra's plugins, and is not called. Choose one with "
            "hydra/launcher=…; python sweep.py --help names them."
        )
    if not isinstance(error, HydraException | OmegaConfBaseException | ValueError):
        reason = str(error) or type(error).__name__
        return UserError(
            f"cannot apply the overrides ({reason}). Write key=value, and a list as a whole, as "
            "[1,2]."
        )
    lines = [line for line in str(error).splitlines() if line and "https://" not in line]
    if isinstance(error, OverrideParseException):
        return UserError(
            f"cannot read the override: {'; '.join(lines)}. "
            "Write key=value, with quotes around a value that has special characters."
        )
    return UserError(" ".join(lines))


def _unknown_option(message: str) -> UserError:
    """Name the config group's options: ``message`` is Hydra's, which lists them a line each."""
    found = re.search(r"Could not find '(?:(.+)/)?([^'/]+)'", message)
    listing = message.split("Config search path", maxsplit=1)[0]
    options = re.findall(r"^\t(\S+)$", listing, re.MULTILINE)
    if not found or not options:
        first = message.splitlines()[0].rstrip(".")
        return UserError(f"{first}. A config group takes the name of one of its files.")
    group, option = found[1], found[2]
    if group == "hydra/launcher":
        return UserError(
            f"'{group}={option}': this launcher is not installed.{did_you_mean(option, options)} "
            f"Installed: {', '.join(options)}. pip install -e '.[slurm]' brings submitit_slurm, "
            "pip install -e '.[ray]' brings ray."
        )
    if group == "hydra/sweeper":
        return UserError(
            f"'{group}={option}': this sweeper is not installed.{did_you_mean(option, options)} "
            f"Installed: {', '.join(options)}. pip install -e '.[optuna]' brings optuna."
        )
    return UserError(
        f"'{group}={option}': there is no conf/{group}/{option}.yaml."
        f"{did_you_mean(option, options)} Allowed: {', '.join(options)}."
    )


def unknown_key(full_key: str, parent: Any, place: str = "") -> UserError:
    """What to say of a key that ``parent``, a dataclass, does not have."""
    prefix, _, name = full_key.rpartition(".")
    known = [f.name for f in dataclasses.fields(parent)] if dataclasses.is_dataclass(parent) else []
    hint = did_you_mean(name, known)
    allowed = ", ".join(f"{prefix}.{key}" if prefix else key for key in known)
    return UserError(f"unknown key '{full_key}'{place}.{hint} Allowed: {allowed}.")


def _unknown_keys(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys that are not fields of their node's dataclass: Hydra adds them for ``+key=value``."""
    node_type = OmegaConf.get_type(node)
    fields = (
        {field.name for field in dataclasses.fields(node_type)}
        if node_type is not None and dataclasses.is_dataclass(node_type)
        else set()
    )
    for key in map(str, node):
        if key not in fields:
            yield f"{prefix}{key}", node_type
        elif not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig):
            yield from _unknown_keys(node[key], f"{prefix}{key}.")


def is_of_hydra(error: BaseException) -> bool:
    """Whether ``error`` was raised within Hydra, so that the overrides or files are the cause."""
    found = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    packages = [name.split(".")[0] for name in found]
    involved = [name for name in packages if name in _HYDRAS or name in _OURS]
    return bool(involved) and involved[-1] in _HYDRAS

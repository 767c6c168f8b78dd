"""The files that Hydra reads, whichever folder they are in: readable, plain and safe.

Hydra acts on what it has read (callbacks, loggers, launchers) before any config is validated, and
finds its files in many ways: ``conf/``, ``--config-dir``, ``hydra.searchpath``. They all lead here.
"""

import io
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins import file_config_source, importlib_resources_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from stnlab.config.text import changed_texts, quoted
from stnlab.config.trust import require_plain_file
from stnlab.errors import UserError

_OF_HYDRA = ("hydra.", "hydra_plugins.")  # packages


class FileConfigSource(file_config_source.FileConfigSource):
    """A folder of configs. Hydra tells its sources apart by their classes' names."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file.

        Raises:
            UserError: it cannot be read, or has what a config may not have.
        """
        path = Path(self.path, self._normalize_file_name(config_path))
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise ConfigLoadError(f"Config not found : {path}") from error
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}).") from error
        return _read(self, path, content, config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The names in a group; editors and systems leave hidden files that are none."""
        found = super().list(config_path, results_filter)
        return [name for name in found if not name.startswith(".")]


class ImportlibResourcesConfigSource(
    importlib_resources_config_source.ImportlibResourcesConfigSource
):
    """A package of configs."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file; those of Hydra and its plugins are what they are.

        Raises:
            UserError: it cannot be read, or has what a config may not have.
        """
        if self.path.startswith(_OF_HYDRA):
            return super().load_config(config_path)
        path = resources.files(self.path).joinpath(self._normalize_file_name(config_path))
        if not path.is_file():
            raise ConfigLoadError(f"Config not found : {path}")
        return _read(self, Path(str(path)), path.read_bytes(), config_path)


def register() -> None:
    """Let Hydra read files by these classes instead of its own, here and in its workers."""
    types = SourcesRegistry.instance().types
    for source in (FileConfigSource, ImportlibResourcesConfigSource):
        types[source.scheme()] = source


def _read(source: ConfigSource, path: Path, content: bytes, config_path: str) -> ConfigResult:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is no UTF-8. Save the file as "
            "UTF-8."
        ) from error
    if not text.strip():
        raise UserError(f"{path} is empty. Write key: value into it.")
    try:
        config = OmegaConf.load(io.StringIO(text))
        node = OmegaConf.to_container(config)
    except (yaml.YAMLError, OmegaConfBaseException, OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(config, DictConfig):
        raise UserError(f"{path}: a config is made of lines key: value; this is a list.")
    group = config_path.rpartition("/")[0].strip("/")
    header = ConfigSource._get_header_dict(text[:512])
    package = header.get("package") or ""
    require_plain_file(path, group, package, node, is_ours=source.provider == "main")
    _require_text(path, package or group.replace("/", "."), text, node)
    return ConfigResult(
        config=config, path=source.full_path(), provider=source.provider, header=header
    )


def _unreadable(path: Path, error: Exception) -> UserError:
    mark = getattr(error, "problem_mark", None)
    place = f"{path}, line {mark.line + 1}" if mark else str(path)
    reason = getattr(error, "problem", None) or str(error) or type(error).__name__
    remedy = "Indent with spaces." if "\\t" in reason else "Write key: value, as YAML has it."
    return UserError(f"{place}: {' '.join(reason.split())}. {remedy}")


def _require_text(path: Path, package: str, text: str, values: Any) -> None:
    """Refuse a value that is no text where the key is text, and would become another one."""
    prefix = "" if package in ("", "_global_") else f"{package}."
    for names, key in changed_texts(values, prefix):
        node: Any = yaml.compose(text, yaml.SafeLoader)
        value = values
        for name in names:
            node = next(child for each, child in node.value if each.value == name)
            value = value[name]
        if str(value) != node.value:
            raise UserError(
                f"{path}, line {node.start_mark.line + 1}: {key} is text, and YAML reads "
                f"{node.value} as {value!r}. Put it in quotes: {names[-1]}: {quoted(node.value)}"
            )

"""Keys that are text keep their text: ``name=1.10`` is no number, and no other run's ``1.1``.

Hydra's grammar, and YAML's, read numbers and truth values wherever they can; what the schema then
makes text of them is no longer what was typed.
"""

import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException

from stnlab import extensions
from stnlab.schema import SweepConfig

_OVERRIDE = re.compile(r"(\+{0,2})([\w./-]+)=(.*)", re.DOTALL)
# An element of a,b,c: quoted, bracketed or plain.
_ELEMENT = re.compile(r"""(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\\.|[^,'"\\])+""", re.DOTALL)


def text_keys() -> frozenset[str]:
    """The keys, with points, that take text; config groups too, whose options are names."""
    return _known_text_keys(len(extensions.loaded()))


@cache
def _known_text_keys(_: int) -> frozenset[str]:
    return frozenset(_text_keys(SweepConfig, ""))


def _text_keys(config: Any, prefix: str) -> Iterator[str]:
    for each in (config, *_subclasses(config)):
        try:
            hints = typing.get_type_hints(each)
        except NameError:  # a user's part, with names for type checkers alone
            hints = {field.name: field.type for field in fields(each)}
        for field in fields(each):
            kinds = [hints[field.name], *typing.get_args(hints[field.name])]
            key = f"{prefix}{field.name}"
            if typing.get_origin(kinds[0]) not in (list, tuple, dict) and str in kinds:
                yield key
            for kind in kinds:
                if isinstance(kind, type) and is_dataclass(kind):
                    yield key
                    yield from _text_keys(kind, f"{key}.")


def _subclasses(config: Any) -> Iterator[Any]:
    for each in config.__subclasses__():
        if is_dataclass(each):
            yield each
            yield from _subclasses(each)


def keep_text(overrides: Iterable[str]) -> list[str]:
    """The overrides, with quotes around each value of a text key that Hydra would take for else."""
    return [_kept(each) for each in overrides]


def _kept(override: str) -> str:
    found = _OVERRIDE.fullmatch(override)
    if found is None or found[2] not in text_keys():
        return override
    try:
        value = OverridesParser.create().parse_override(override).value()
    except HydraException:  # it is told where the override is used
        return override
    prefix, key, text = found.groups()
    if _is_no_text(value):
        return f"{prefix}{key}={quoted(text.strip())}"
    if isinstance(value, ChoiceSweep) and any(map(_is_no_text, value.list)):
        call = "" if value.simple_form else re.match(r"\s*\w+\(", text)
        if call is None or not text.rstrip().endswith(("", ")")[bool(call)]):
            return override
        inner = text.strip()[len(call[0].lstrip()) : -1] if call else text
        elements = [each.strip() for each in _ELEMENT.findall(inner)]
        if len(elements) != len(value.list):
            return override
        words = [
            quoted(each) if _is_no_text(read) else each
            for each, read in zip(elements, value.list, strict=True)
        ]
        listed = ",".join(words)
        return f"{prefix}{key}={f'choice({listed})' if call else listed}"
    return override


def _is_no_text(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def quoted(value: str) -> str:
    """``value`` as text in Hydra's grammar."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)  # backslashes count before a quote alone
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"'{escaped}'"


def changed_texts(node: Any, prefix: str) -> Iterator[tuple[Sequence[str], str]]:
    """Keys of a file's node that are text and have a value that is none: path, and full key."""
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            for path, full in changed_texts(value, f"{key}."):
                yield [str(name), *path], full
        elif _is_no_text(value) and key in text_keys():
            yield [str(name)], key

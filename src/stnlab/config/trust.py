"""What a file of ``conf/`` may not do, since it may come from someone else.

The command line is the user's own word; a study that was sent along with a paper is not. It chooses
among what the project offers, and never what is called, where files go, or what is deleted.
"""

import math
import re
import shlex
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException

from stnlab.errors import UserError
from stnlab.schema import StudyConfig

MAX_COMBINATIONS = 10_000  # of one grid
_NOT_A_GRIDS = (
    "cell",
    "defaults",
    "dry_run",
    "hydra",
    "name",
    "output_dir",
    "overwrite",
    "seed",
    "seeds",
    "study",
)
_PACKAGE = re.compile(r"^\s*#\s*@package\s+(.*)", re.MULTILINE)


def require_plain_files(conf_dir: Path) -> None:
    """Refuse files of the config groups that set Hydra's own keys, or name what is to be called.

    Hydra acts on its keys (callbacks, loggers, launchers) before any config is validated. Files in
    ``conf/hydra/`` are for them, and are chosen on the command line.

    Raises:
        UserError: naming the first such file.
    """
    for path in sorted(conf_dir.glob("*/**/*.yaml")):
        if path.relative_to(conf_dir).parts[0] == "hydra":
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if not any(sign in text for sign in ("hydra", "_target_", "\\")) and path.stem != "hydra":
            continue
        if path.stem == "hydra" or _touches_hydra(text):
            raise UserError(
                f"{path} sets Hydra's own keys ('hydra'), or says what is called ('_target_'): a "
                "file there cannot. Take them out; on the command line, Hydra's keys can be set."
            )


def _touches_hydra(text: str) -> bool:
    if any("hydra" in package for package in _PACKAGE.findall(text)):
        return True
    try:
        node = yaml.safe_load(text)
    except Exception:  # Hydra says what is wrong with it
        return False
    if not isinstance(node, dict):
        return False
    defaults = str(node.pop("defaults", ""))
    return "hydra" in defaults or any(
        key == "_target_" or "hydra" in key for key in _keys(node, depth=0)
    )


def _keys(node: Any, depth: int) -> list[str]:
    if depth > 50:
        return ["hydra"]  # nothing of ours is as deep
    if isinstance(node, dict):
        inner = [key for value in node.values() for key in _keys(value, depth + 1)]
        return [*map(str, node), *inner]
    if isinstance(node, list):
        return [key for value in node for key in _keys(value, depth + 1)]
    return []


def require_plain_study(study: StudyConfig) -> None:
    """Refuse a study that asks for more than a choice among the project's configs.

    Raises:
        UserError: naming the study and what it may not have.
    """
    for part in study.parts:
        if not re.fullmatch(r"[\w.-]+", part) or part == study.name:
            raise UserError(f"study={study.name}: its part {part!r} is no other study's name.")
    for grid in study.grids:
        where = f"study={study.name}: its grid {grid!r}"
        try:
            overrides = OverridesParser.create().parse_overrides(shlex.split(grid))
        except (HydraException, ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"{where} cannot be read ({reason}).") from error
        for override in overrides:
            key = override.key_or_group
            if (
                override.is_add()
                or override.is_force_add()
                or override.is_delete()
                or override.package
                or re.split(r"[./]", key)[0] in _NOT_A_GRIDS
            ):
                raise UserError(
                    f"{where} has {override.input_line!r}. A study chooses configs and their "
                    f"values, as in dataset=rot90 model=stn,cnn; {key} is for the command line."
                )
        if "${" in grid:
            raise UserError(f"{where} refers to other values with ${{…}}; write them out.")
        require_countable(overrides, where)


def require_countable(overrides: list[Override], where: str) -> None:
    """Refuse a grid of more combinations than anyone runs, before they are written out.

    Raises:
        UserError: naming the grid.
    """
    found = math.prod(_num_values(override.value()) for override in overrides)
    if found > MAX_COMBINATIONS:
        raise UserError(f"{where} has {found:,} combinations; allowed: up to {MAX_COMBINATIONS:,}.")


def _num_values(value: Any) -> int:
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    if isinstance(value, RangeSweep) and value.start is not None and value.stop is not None:
        step = value.step or math.nan
        num_values = (value.stop - value.start) / step
        return max(0, math.ceil(num_values)) if math.isfinite(num_values) else MAX_COMBINATIONS + 1
    return 1

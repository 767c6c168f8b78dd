"""What a file of configs may not do, since it may come from someone else.

The command line is the user's own word; a study that was sent along with a paper is not. It chooses
among what the project offers, and never what is called, where files go, or what is deleted.
"""

import math
import re
import shlex
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException

from stnlab.errors import UserError
from stnlab.schema import StudyConfig

MAX_COMBINATIONS = 10_000  # of one grid
_TOP = ("experiment", "sweep", "train")  # of conf/
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


def require_plain_file(path: Path, group: str, header: str, node: Any, is_ours: bool) -> None:
    """Refuse a file that sets Hydra's own keys, or names what is to be called.

    Hydra acts on its keys (callbacks, loggers, launchers) before any config is validated. The
    project's own top has some, and files in its ``conf/hydra/`` are for them, and are chosen on the
    command line. A file of ``schema/`` would take the place of the types of the keys.

    Args:
        path: the file.
        group: its config group, as ``dataset``; empty at the top.
        header: its package, as the file says; empty where it does not.
        node: what Hydra reads in it, as plain containers.
        is_ours: whether it lies in the project's ``conf/``.

    Raises:
        UserError: naming the file.
    """
    first = group.split("/", maxsplit=1)[0]
    if is_ours and (first == "hydra" or (first == "" and path.stem in _TOP)):
        return
    if first == "schema":
        raise UserError(
            f"{path} would stand in for the types of the keys, which src/stnlab/schema.py has. "
            "Name its folder otherwise."
        )
    if first == "hydra" or path.stem == "hydra" or "hydra" in header or _touches_hydra(node):
        raise UserError(
            f"{path} sets Hydra's own keys ('hydra'), or says what is called ('_target_'): a "
            "file there cannot. Take them out; on the command line, Hydra's keys can be set."
        )


def _touches_hydra(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    defaults = str(node.get("defaults", ""))
    return "hydra" in defaults or any(
        key == "_target_" or "hydra" in key
        for key in _keys({key: node[key] for key in node if key != "defaults"}, depth=0)
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
    for grid in (*study.grids, *(rows.grid for rows in study.rows)):
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

"""Results made visible."""

import json
from collections.abc import Sequence
from pathlib import Path


def is_current(folders: Sequence[Path], out: Path) -> bool:
    """Whether the report in ``out`` was made from what the sweeps' folders hold now.

    Contents decide, not dates, which copies and other machines' clocks do not keep.
    """
    from stnlab.report import results

    try:
        made = json.loads((out / "summary.json").read_text(encoding="utf-8"))["studies"]
        made_from = [study["made_from"] for study in made]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return (out / "report.html").exists() and made_from == [
        results.read_study(folder).fingerprint for folder in folders
    ]


def write_report(folders: Sequence[Path], out: Path, option: str = "output_dir=") -> None:
    """Report on sweeps' folders; see :func:`stnlab.report.document.write_report`."""
    from stnlab.report import document  # scipy and the templates are for reports, not for a run

    document.write_report(folders, out, option)

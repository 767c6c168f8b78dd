"""Results made visible."""

from collections.abc import Sequence
from pathlib import Path


def write_report(folders: Sequence[Path], out: Path) -> None:
    """Report on sweeps' folders; see :func:`stnlab.report.document.write_report`."""
    from stnlab.report import document  # scipy and the templates are for reports, not for a run

    document.write_report(folders, out)

"""Rebuild a report from run folders: ``python -m stnlab.report outputs/RTS``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stnlab.errors import UserError
from stnlab.report import write_report


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stnlab.report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="a sweep's folder, or several")
    parser.add_argument(
        "--out",
        type=Path,
        help="where to write; needed for several folders, else the folder itself",
    )
    given = parser.parse_args(arguments)
    if given.out is None and len(given.folders) > 1:
        parser.error("several folders need --out FOLDER, for example --out outputs/image")
    out = given.out or given.folders[0]
    try:
        write_report(given.folders, out)
    except UserError as error:
        return error.tell()
    print(f"report: {out / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

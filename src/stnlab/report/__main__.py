"""Rebuild a report from run folders: ``python -m stnlab.report outputs/RTS``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stnlab.errors import command
from stnlab.report import write_report


@command
def main(arguments: Sequence[str]) -> None:
    """The command line."""
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
    write_report(given.folders, out, "--out ")
    print(f"report: {out / 'report.html'}")


if __name__ == "__main__":
    sys.exit(main())

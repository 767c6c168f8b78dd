"""A page to play with trained networks: ``python -m stnlab.explore RUN… --out page.html``.

It is one file that needs no network: turn, shift, scale or draw a digit, and see where each
transformer looks, what it reads and what each network says. Runs of the same inputs share a page,
as a transformer network and the CNN beside it. A run that has kept its epochs
(trainer.keep_epochs=true) gets a slider through its training.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stnlab import extensions
from stnlab.errors import UserError, command


@command
def main(arguments: Sequence[str]) -> None:
    """The command line."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m stnlab.explore", description=first, epilog=rest
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a complete run's folder")
    parser.add_argument("--out", required=True, type=Path, help="the page, an .html file")
    parser.add_argument("--with", metavar="FILE", help="parts of your own: docs/extending.md")
    given = parser.parse_args(extensions.take_from(list(arguments)))
    _write(given.runs, given.out)


def _write(runs: Sequence[Path], out: Path) -> None:
    from stnlab.explore.page import make_page
    from stnlab.explore.runs import read_run
    from stnlab.files import write_out

    _require_place(out)
    page = make_page([read_run(path) for path in runs])
    write_out(out, page.html)
    for note in page.notes:
        print(note)
    print(f"page: {out} ({len(page.html) / 1e6:.1f} MB)")


def _require_place(out: Path) -> None:
    """Refuse at once what could not be written at the end."""
    if out.is_dir():
        raise UserError(f"--out is {out}, a folder; name a file in it, as {out / 'page.html'}.")
    if not out.parent.is_dir():
        raise UserError(f"--out: there is no folder {out.parent} to write {out.name} to; make it.")


if __name__ == "__main__":
    sys.exit(main())

"""The command line: ``python -m stnlab.mimic3 RAW OUT`` and ``… verify FOLDER``."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from stnlab.errors import command
from stnlab.mimic3.build import MIN_MEMORY, Settings, build
from stnlab.mimic3.split import Split, benchmark_cache, fetched_split, read_split
from stnlab.stopping import StoppedError, TerminatedError, stoppable

_DESCRIPTION = """\
From MIMIC-III's tables (.csv or .csv.gz) in the folder RAW to the public benchmark's episodes of
in-hospital mortality, equal to the benchmark's own to the byte. The folder OUT appears when all is
done: in-hospital-mortality/ (for train.py: dataset=mimic dataset.root=OUT/in-hospital-mortality),
stays.csv (each stay's ids, times, label, part, and why it is a sample or none) and log.json (rows
by what became of them, values refused, checksums).

Who is trained and who is tested on is for --split or --download to say, the benchmark's two lists;
without them patients are drawn by lot in the same shares, and every output says so."""

_VERIFY = """\
Hold a folder of in-hospital mortality, whoever made it, against the benchmark's list of MD5s, and
say what is missing, extra or different, and what that usually means."""


@command
def main(arguments: Sequence[str]) -> int:
    """The command line; returns the exit status."""
    chosen = _verify if arguments[:1] == ["verify"] else _build
    try:
        with stoppable():
            return chosen(arguments)
    except (KeyboardInterrupt, TerminatedError) as stop:
        message = "stopped. Nothing was kept; the same command starts anew."
        raise StoppedError(message, stop) from None


def _build(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stnlab.mimic3",
        description=_DESCRIPTION,
        epilog="python -m stnlab.mimic3 verify FOLDER checks such a folder; see verify --help.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("raw", metavar="RAW", type=Path, help="the folder of MIMIC-III's tables")
    parser.add_argument("out", metavar="OUT", type=Path, help="a new folder, or an empty one")
    lists = parser.add_mutually_exclusive_group()
    lists.add_argument(
        "--split", metavar="FOLDER", type=Path, help="holds testset.csv and valset.csv"
    )
    lists.add_argument(
        "--download",
        action="store_true",
        help="fetch the two lists from the benchmark's repository",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the split, where it is drawn by lot (0)"
    )
    parser.add_argument(
        "--episodes",
        action="store_true",
        help="write the episodes of whole stays, too: OUT/episodes/PART/SUBJECT/episodeN_…",
    )
    _add_jobs(parser)
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        type=_size,
        default=_size("2G"),
        help="for all processes together, for example 1G or 8G (2G)",
    )
    given = parser.parse_args(arguments)
    settings = Settings(given.jobs, given.memory, given.episodes, given.seed)
    log = build(given.raw, given.out, _split(given), settings, lambda line: print(f"- {line}"))
    samples = ", ".join(
        f"{part} {found['stays']:,} ({found['deaths']:,} died)"
        for part, found in log["samples"].items()
    )
    print(f"{given.out / 'in-hospital-mortality'}: {samples}; made in {log['seconds']} s")
    return 0


def _split(given: argparse.Namespace) -> Split | None:
    if given.download:
        return fetched_split()
    return None if given.split is None else read_split(given.split)


def _verify(arguments: Sequence[str]) -> int:
    from stnlab.mimic3.verify import fetched_hashes, read_hashes, verify

    parser = argparse.ArgumentParser(prog="python -m stnlab.mimic3 verify", description=_VERIFY)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="has train/ and test/")
    parser.add_argument(
        "--hashes", metavar="CSV", type=Path, help="the list, ihm.csv of the benchmark's tests"
    )
    parser.add_argument(
        "--download", action="store_true", help="fetch the list from the benchmark's repository"
    )
    _add_jobs(parser)
    given = parser.parse_args(arguments[1:])
    hashes = (
        read_hashes(given.hashes)
        if given.hashes is not None
        else fetched_hashes(benchmark_cache(), download=given.download)
    )
    found = verify(given.folder, hashes, given.jobs)
    print("\n".join(found.lines()))
    return 0 if found.is_same else 1


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jobs",
        type=_at_least_one,
        default=os.cpu_count() or 1,
        help="processes, at most (one a core)",
    )


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, 1 or more")
    return int(text)


def _size(text: str) -> int:
    """Bytes of ``2G`` or ``900M``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text, re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size, such as 2G or 900M")
    size = int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))
    if size < MIN_MEMORY:
        raise argparse.ArgumentTypeError(
            f"{text} is too little: {MIN_MEMORY >> 20}M is the least that this works in"
        )
    return size


if __name__ == "__main__":
    sys.exit(main())

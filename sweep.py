"""Run a study or a grid over seeds. `python sweep.py --help` explains."""

import sys

from stnlab.cli import sweep_main

if __name__ == "__main__":
    sys.exit(sweep_main())

"""Fit one run. `python train.py --help` explains."""

import sys

from stnlab.cli import train_main

if __name__ == "__main__":
    sys.exit(train_main())

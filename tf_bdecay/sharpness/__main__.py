"""Measures the sharpness of a network: `python -m tf_bdecay.sharpness --help`."""

import sys

from tf_bdecay import commands

if __name__ == "__main__":
    sys.exit(commands.sharpness(sys.argv[1:], "python -m tf_bdecay.sharpness"))

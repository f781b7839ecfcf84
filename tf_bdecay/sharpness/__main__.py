"""Measures the sharpness of a network: `python -m tf_bdecay.sharpness --help`."""

import sys

from tf_bdecay.sharpness_command.run import main

if __name__ == "__main__":
    sys.exit(main())

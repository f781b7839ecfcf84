"""Measures the sharpness of a network: `python -m tf_bdecay.sharpness --help`."""

import sys

from tf_bdecay.sharpness_command import terminal

if __name__ == "__main__":
    with terminal.stoppable("python -m tf_bdecay.sharpness") as stop:
        from tf_bdecay.sharpness_command.run import main

        sys.exit(main(stop=stop))

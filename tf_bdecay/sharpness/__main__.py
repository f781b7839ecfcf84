"""Measures the sharpness of a network: `python -m tf_bdecay.sharpness --help`."""

import sys

from tf_bdecay.distribution import signals

if __name__ == "__main__":
    with signals.deferred("ends after this step") as stop:  # before TensorFlow, which takes seconds
        from tf_bdecay.sharpness_command.run import main

        sys.exit(main(stop=stop))

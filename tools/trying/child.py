"""A program that tries the named features with one model, and prints a line of JSON for each."""

import importlib.util
import json
import sys

import tensorflow as tf

from tf_bdecay.errors import BadInput
from tools.trying import page
from tools.trying.features import FEATURES, REPLICAS, AsKeras
from tools.trying.subjects import SUBJECTS


def main(name, features):
    """Tries the features one after another."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * REPLICAS)
    for feature in features:
        word, said = _tried(name, feature)
        print(json.dumps({"feature": feature, "word": word, "said": said}), flush=True)


def _tried(name, feature):
    if name.startswith("hub ") and importlib.util.find_spec("keras_hub") is None:
        return page.UNTRIED, "keras-hub is not installed"
    try:
        return page.WORKS, FEATURES[feature](SUBJECTS[name]())
    except BadInput as refusal:
        return page.REFUSED, str(refusal)
    except AsKeras as failure:
        return page.KERAS, str(failure)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return page.FAILS, f"{type(error).__name__}: {' '.join(lines)[:400]}"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

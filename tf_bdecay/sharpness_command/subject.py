"""What is measured, as far as it can be told without TensorFlow: a model and data on the disk."""

import dataclasses
import json
import os
import zipfile

from tf_bdecay.data import catalog
from tf_bdecay.errors import BadInput, require, unknown
from tf_bdecay.frameworks import quirks
from tf_bdecay.storage.files import is_count, sha256_of
from tf_bdecay.training.building import datasets
from tf_bdecay.training.run_folder import pictures, weights


def _fraction(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


# What is read of a run's config here; the parts of the model are checked where they are made.
_RIGHT = {
    "data.name": lambda name: name in (*catalog.NAMES, "pictures"),
    "data.validation": _fraction,
    "seed": is_count,
    "label_smoothing": _fraction,
}
_NEEDED = ("model.name", "data.name", "data.validation", "seed", "label_smoothing", "experiment")


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model on the disk.

    Attributes:
        source: the `weights.Source`.
        name: for the results' folder and the pictures.
        config: of a run the dict of dotted path to value, of a saved model its config.json.
    """

    source: weights.Source
    name: str
    config: dict

    @property
    def run(self):
        """The folder of the run of tf_bdecay that it is of; None for a saved model."""
        return self.source.run


def find(path):
    """Finds out what a path is.

    Args:
        path: of a workdir of tf_bdecay, of a checkpoint in one, or of a .keras file.

    Returns:
        A `Subject`.

    Raises:
        BadInput: none of these, or a damaged one, or a run without any weights so far.
    """
    source = weights.find(path, "--model")
    if source.run is None:
        name = source.file.resolve().name.removesuffix(".keras")
        return Subject(source, name, read_saved_config(source.file))
    _check_config(source)
    return Subject(source, source.run.resolve().name, source.config)


def _check_config(source):
    """Raises `BadInput` unless the config of a run has what is read of it here."""
    wrong = f"{source.run / 'config.json'} is not of a run of tf_bdecay"
    lacking = [key for key in _NEEDED if key not in source.config]
    require(not lacking, f"{wrong} (it lacks {', '.join(lacking)}): name another --model.")
    for key, right in _RIGHT.items():
        require(
            right(source.config[key]),
            f"{wrong}: name another --model. Received: {key}={source.config[key]!r:.100}",
        )


def read_saved_config(path):
    """config.json of a .keras file.

    Raises:
        BadInput: it is no such file.
    """
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
        require(isinstance(config, dict), "its config.json is of something else")
        return config
    except Exception as error:  # zipfile and json raise a dozen kinds over bytes that are not so
        reason = str(error).strip("\"'").rstrip(".")
        raise BadInput(
            f"--model={path} is not a model that Keras saved as .keras ({reason}): save it with "
            "model.save('FILE.keras')."
        ) from error


def check_data(subject, data, data_dir, split):
    """Says which data are meant.

    Args:
        subject: the `Subject` of the model.
        data, data_dir, split: of the command line.

    Returns:
        A name, or the path of an .npz file.

    Raises:
        BadInput: none, an unknown name, a file that is not there, or flags that it has no use for.
    """
    if data is None:
        require(
            subject.run,
            f"A saved model does not say on which data: add --data={', '.join(catalog.NAMES)} or "
            f"FILE.npz. Received: --model={subject.source.given}",
        )
        return subject.config["data.name"]
    if not data.endswith(".npz"):
        if data not in catalog.NAMES:
            raise unknown("data set", data, [*catalog.NAMES, "FILE.npz"])
        return data
    require(os.path.isfile(data), f"--data={data} is not there: name a file with arrays x and y.")
    for name, value in (("data_dir", data_dir), ("split", split)):
        require(
            value is None,
            f"--{name} is of a named data set, and an .npz file has all its examples in x and y: "
            f"leave it out. Received: --{name}={value}",
        )
    return data


def images_of(subject, data, data_dir):
    """The set of images that is measured on: of a run on its own data, as the run had it.

    Args:
        subject: the `Subject`.
        data: from `check_data`.
        data_dir: of the command line.

    Returns:
        An `ImageSet` or a `PictureSet`; None for an .npz file.

    Raises:
        BadInput: they cannot be read, or are other pictures by now than the run began with.
    """
    if data.endswith(".npz"):
        return None
    if not subject.run or data != subject.config["data.name"]:
        return catalog.load(data, data_dir=data_dir)
    images = datasets.load(subject.config, data_dir)
    pictures.check_same(subject.run, images.record(), "name another --model")
    return images


def onednn_overruns(subject):
    """Whether oneDNN would write out of bounds in the gradients of the network."""
    if subject.run:
        return quirks.onednn_overruns(subject.config.get("model.width", 16))
    return any(_is_overrun(layer["config"], layer) for layer in _objects(subject.config))


def _objects(value):
    """All serialized objects within a config, layers among them."""
    if isinstance(value, dict):
        if "class_name" in value and isinstance(value.get("config"), dict):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _is_overrun(config, layer):
    """Of a serialized layer, by the rule of `quirks`."""
    sizes = config.get("kernel_size"), config.get("strides")
    kernel, strides = ([n] if isinstance(n, int) else list(n or []) for n in sizes)
    if not kernel or not strides:
        return False
    shape = (layer.get("build_config") or {}).get("input_shape") or [None]
    channels = shape[1 if config.get("data_format") == "channels_first" else -1]
    return quirks.onednn_overruns(channels, kernel, strides)


def settings_of(options, subject, data, images=None):
    """What decides the numbers: two commands that agree in it are the same.

    Args:
        options: `flags.Options`.
        subject: the `Subject`.
        data: from `check_data`.
        images: from `images_of`, where data is "pictures".

    Returns:
        Dict of JSON values.
    """
    is_file = data.endswith(".npz")
    digest = sha256_of(data)[:16] if is_file else None
    given = {
        name: getattr(options, name)
        for name in ("loss", "from_logits", "training", "seed", "strategy", "devices")
    }
    return {
        "model": subject.name,
        "weights": subject.source.digest,
        "data": os.path.basename(data) if is_file else data,
        "data_digest": pictures.digest(images.record()) if images else digest,
        "split": None if is_file else options.split or "train",
        "examples": options.examples,
        "measures": [m.name for m in options.measures],
        "logical_devices": options.logical_devices,
        **given,
        **options.options,
    }

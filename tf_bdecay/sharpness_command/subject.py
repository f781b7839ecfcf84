"""Finds the model and the data on disk, without TensorFlow."""

import dataclasses
import json
import os
import zipfile

from tf_bdecay.data import catalog
from tf_bdecay.errors import BadInput, require, unknown
from tf_bdecay.frameworks import quirks
from tf_bdecay.storage.files import is_count, sha256_of
from tf_bdecay.training.building import datasets
from tf_bdecay.training.run_folder import pictures_record, weights


def _fraction(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


# What is read from a run's config here; the model's own keys are checked where it is built.
_RIGHT = {
    "data.name": lambda name: name in (*catalog.NAMES, "pictures"),
    "data.validation": _fraction,
    "seed": is_count,
    "label_smoothing": _fraction,
}
_NEEDED = ("model.name", "data.name", "data.validation", "seed", "label_smoothing", "experiment")


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model on disk.

    Attributes:
        source: the `weights.Source`.
        name: for the names of the results' folder and in the pictures.
        config: dict of dotted path to value for a run; config.json for a saved model.
    """

    source: weights.Source
    name: str
    config: dict

    @property
    def run(self):
        """The folder of the model's tf_bdecay run; None for a saved model."""
        return self.source.run


def find(path):
    """Finds the model that a path stands for.

    Args:
        path: of a workdir of tf_bdecay, of a checkpoint in one, or of a .keras file.

    Returns:
        A `Subject`.

    Raises:
        BadInput: none of these, or a damaged one, or a run without weights so far.
    """
    source = weights.find(path, "--model")
    if source.run is None:
        name = source.file.resolve().name.removesuffix(".keras")
        return Subject(source, name, read_saved_config(source.file))
    _check_config(source)
    return Subject(source, source.run.resolve().name, source.config)


def _check_config(source):
    """Raises `BadInput` unless a run's config has what is read from it here."""
    wrong = f"{source.run / 'config.json'} is not of a run of tf_bdecay"
    lacking = [key for key in _NEEDED if key not in source.config]
    require(not lacking, f"{wrong} (it lacks {', '.join(lacking)}): name another --model.")
    for key, right in _RIGHT.items():
        require(
            right(source.config[key]),
            f"{wrong}: name another --model. Received: {key}={source.config[key]!r:.100}",
        )


def read_saved_config(path):
    """Reads config.json from a .keras file.

    Raises:
        BadInput: the file is not a .keras file.
    """
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
        require(isinstance(config, dict), "its config.json is of something else")
        return config
    except Exception as error:  # zipfile and json raise a dozen kinds on bytes of other formats
        reason = str(error).strip("\"'").rstrip(".")
        raise BadInput(
            f"--model={path} is not a model that Keras saved as .keras ({reason}): save it with "
            "model.save('FILE.keras')."
        ) from error


def check_data(subject, data, data_dir, split):
    """Determines which data are meant.

    Args:
        subject: the `Subject` of the model.
        data, data_dir, split: from the command line.

    Returns:
        A name, or the path of an .npz file.

    Raises:
        BadInput: no data, an unknown name, a missing file, or flags that do not apply to the data.
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
    """The images to measure on; a run on its own data gets them as the run had them.

    Args:
        subject: the `Subject`.
        data: from `check_data`.
        data_dir: from the command line.

    Returns:
        An `ImageSet` or a `PictureSet`; None for an .npz file.

    Raises:
        BadInput: they cannot be read, or are not the pictures that the run began with.
    """
    if data.endswith(".npz"):
        return None
    if not subject.run or data != subject.config["data.name"]:
        return catalog.load(data, data_dir=data_dir)
    images = datasets.load(subject.config, data_dir)
    pictures_record.check_same(subject.run, images.record(), "name another --model")
    return images


def onednn_overruns(subject):
    """Whether oneDNN would write out of bounds in the network's gradients."""
    if subject.run:
        return quirks.onednn_overruns(subject.config.get("model.width", 16))
    return any(_is_overrun(layer["config"], layer) for layer in _objects(subject.config))


def _objects(value):
    """All serialized objects in a config, layers among them."""
    if isinstance(value, dict):
        if "class_name" in value and isinstance(value.get("config"), dict):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _is_overrun(config, layer):
    """Whether oneDNN overruns in a serialized layer, by the rule in `quirks`."""
    sizes = config.get("kernel_size"), config.get("strides")
    kernel, strides = ([n] if isinstance(n, int) else list(n or []) for n in sizes)
    if not kernel or not strides:
        return False
    shape = (layer.get("build_config") or {}).get("input_shape") or [None]
    channels = shape[1 if config.get("data_format") == "channels_first" else -1]
    return quirks.onednn_overruns(channels, kernel, strides)


def settings_of(options, subject, data, images=None):
    """What decides the numbers: two commands that agree in it are the same measurement.

    Args:
        options: `flags.Options`.
        subject: the `Subject`.
        data: from `check_data`.
        images: from `images_of`, if data is "pictures".

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
        "data_digest": pictures_record.digest(images.record()) if images else digest,
        "split": None if is_file else options.split or "train",
        "examples": options.examples,
        "measures": [m.name for m in options.measures],
        "logical_devices": options.logical_devices,
        **given,
        **options.options,
    }

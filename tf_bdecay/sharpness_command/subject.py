"""What is measured, as far as it can be told without TensorFlow: a model and data on the disk."""

import dataclasses
import json
import os
import pathlib
import zipfile

from tf_bdecay.errors import BadInput, require, unknown
from tf_bdecay.frameworks import quirks
from tf_bdecay.sharpness_command.flags import DATA_SETS
from tf_bdecay.storage.files import is_count, read_json, sha256_of
from tf_bdecay.training.building import datasets
from tf_bdecay.training.run_folder import pictures as run_pictures
from tf_bdecay.training.run_folder import weights as initial


def _fraction(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


# What is read of a run's config here; the parts of the model are checked where they are made.
_RIGHT = {
    "data.name": lambda name: name in (*DATA_SETS, "pictures"),
    "data.validation": _fraction,
    "seed": is_count,
    "label_smoothing": _fraction,
}
_NEEDED = ("model.name", "data.name", "data.validation", "seed", "label_smoothing", "experiment")


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model on the disk.

    Attributes:
        path: as it was given.
        name: for the results' folder and the pictures.
        workdir: whether it is a run of tf_bdecay.
        config: of a run the dict of dotted path to value, of a saved model its config.json.
        weights: path of the file that has the weights.
        digest: hexadecimal SHA-256 of that file.
    """

    path: pathlib.Path
    name: str
    workdir: bool
    config: dict
    weights: pathlib.Path
    digest: str

    @property
    def saved(self):
        """Whether the weights are in a saved model, not in a checkpoint."""
        return self.weights.suffix == ".keras"


def find(path):
    """Finds out what a path is.

    Args:
        path: of a workdir of tf_bdecay, or of a .keras file.

    Returns:
        A `Subject`.

    Raises:
        BadInput: neither, or a damaged one, or a run without any weights so far.
    """
    given = path
    path = pathlib.Path(path)
    require(
        _is_there(path),
        f"--model={given} is not there: name a workdir of tf_bdecay, or a saved model FILE.keras.",
    )
    if path.is_dir():
        config, weights = _of_run(path)
    else:
        config, weights = read_saved_config(path), path
    name = path.resolve().name.removesuffix(".keras")
    return Subject(path, name, path.is_dir(), config, weights, sha256_of(weights))


def _is_there(path):
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name, or no permission
        return False


def _of_run(path):
    """Config of a workdir, and the file with its weights."""
    file = path / "config.json"
    require(
        file.is_file(),
        f"--model={path} is a folder without config.json, so no workdir of tf_bdecay: name one, or "
        "a saved model FILE.keras.",
    )
    config = read_json(file, dict, "name another --model")
    lacking = [key for key in _NEEDED if key not in config]
    require(
        not lacking,
        f"{file} is not of a run of tf_bdecay (it lacks {', '.join(lacking)}): name another "
        "--model.",
    )
    weights = initial.weights_in(path, "--model")
    for key, right in _RIGHT.items():
        require(
            right(config[key]),
            f"{file} is not of a run of tf_bdecay: name another --model. Received: "
            f"{key}={config[key]!r:.100}",
        )
    return config, weights


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
            subject.workdir,
            f"A saved model does not say on which data: add --data={', '.join(DATA_SETS)} or "
            f"FILE.npz. Received: --model={subject.path}",
        )
        return subject.config["data.name"]
    if not data.endswith(".npz"):
        if data not in DATA_SETS:
            raise unknown("data set", data, [*DATA_SETS, "FILE.npz"])
        return data
    require(os.path.isfile(data), f"--data={data} is not there: name a file with arrays x and y.")
    for name, value in (("data_dir", data_dir), ("split", split)):
        require(
            value is None,
            f"--{name} is of a named data set, and an .npz file has all its examples in x and y: "
            f"leave it out. Received: --{name}={value}",
        )
    return data


def is_own(subject, data):
    """Whether data, from `check_data`, are those that a run was trained on."""
    return subject.workdir and data == subject.config["data.name"]


def own_pictures(subject, data, data_dir):
    """The pictures in files that are measured on: those that the run began with.

    Args:
        subject: the `Subject`.
        data: from `check_data`.
        data_dir: of the command line.

    Returns:
        A `PictureSet`; None where the data are something else.

    Raises:
        BadInput: they cannot be read, or are other pictures by now.
    """
    if not is_own(subject, data) or data != "pictures":
        return None
    images = datasets.load(subject.config, data_dir)
    run_pictures.check_same(subject.path, images.record(), "name another --model")
    return images


def onednn_overruns(subject):
    """Whether oneDNN would write out of bounds in the gradients of the network."""
    if subject.workdir:
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


def settings_of(options, subject, data, pictures=None):
    """What decides the numbers: two commands that agree in it are the same.

    Args:
        options: `flags.Options`.
        subject: the `Subject`.
        data: from `check_data`.
        pictures: from `own_pictures`.

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
        "weights": subject.digest[:16],
        "data": os.path.basename(data) if is_file else data,
        "data_digest": run_pictures.digest(pictures.record()) if pictures else digest,
        "split": None if is_file else options.split or "train",
        "examples": options.examples,
        "measures": [m.name for m in options.measures],
        "logical_devices": options.logical_devices,
        **given,
        **options.options,
    }

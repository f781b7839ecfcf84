"""Random flags, keys and files either end in a sentence or mean what they say.

In process and without TensorFlow's part: what comes before it refuses, or a run would begin.
"""

import json
import math
import pathlib
import string
import tempfile

import hypothesis
import pytest
from hypothesis import strategies as st
from ml_collections import ConfigDict

from tf_bdecay.distribution import cluster
from tf_bdecay.errors import BadInput
from tf_bdecay.planning import machine, worth
from tf_bdecay.storage import checkpoints
from tf_bdecay.storage.tables import Table
from tf_bdecay.terminal import flag_reading, outcome
from tf_bdecay.training.config import config_file, key_table, keys
from tf_bdecay.training.config.checks import check
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.run_folder.workdir import Workdir
from tf_bdecay.training_command import command_line, flag_table, help_page

ROOT = pathlib.Path(__file__).parents[1]
DEFAULT = flatten(config_file.load(config_file.DEFAULT_CONFIG, ROOT))
QUICK, WHOLE = 100, 1670  # examples of each of the three tests
HARD = [
    "", " ", "0", "-0", "1", "-1", "2", "4", "8", "32", "448", "1e3", "0.5", "1e-50", "1e39",
    "1e400", "nan", "inf", "-inf", "1" + "0" * 30, "9" * 5000, "４", "1_0", "0x10", "true", "True",
    "false", "no", "None", "[]", "{}", "a/b", "..", "\n", "\x00", "\ud800", "é", "a" * 4000,
    "--help", "%s", "{x}", "'", "lamb", "sgd", "adaptive", "beta", "none", "probe", "batch",
    "ghost", "resnet18", "vgg11", "mixed_float16", "mirrored", "multi_worker",
    "localhost:1,localhost:2", "1..64", "never", "unset",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(HARD),
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(str),
    st.text(string.printable, max_size=8),
)
KEYS = st.one_of(st.sampled_from([*DEFAULT]), st.text(string.ascii_letters + "._", max_size=12))
FLAGS = st.one_of(
    st.sampled_from([flag.name for flag in flag_table.FLAGS]), st.text("abc_-=.", max_size=6)
)
CONFIG_SPECS = st.one_of(
    st.sampled_from([f"{config_file.DEFAULT_CONFIG}:{name}" for name in key_table.POLICIES]), VALUES
)
ARGUMENTS = st.one_of(
    st.builds("--config.{}={}".format, KEYS, VALUES),
    st.builds("--config.{}={}".format, KEYS, VALUES),
    st.builds("--{}={}".format, FLAGS, VALUES),
    st.builds("--{}".format, FLAGS),
    st.builds("--no{}".format, FLAGS),
    st.builds("--noconfig.{}".format, KEYS),
    st.builds("--config={}".format, CONFIG_SPECS),
    VALUES,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def forms(*strategies):
    """A test of what strategies give, twice: few in `make test`, many in `make test-all`."""

    def decorate(function):
        def run(count):
            settings = hypothesis.settings(
                max_examples=count,
                database=None,
                deadline=None,
                suppress_health_check=[*hypothesis.HealthCheck],
                phases=[hypothesis.Phase.generate],
            )

            @settings
            @hypothesis.seed(count)
            @hypothesis.given(st.tuples(*strategies))  # made anew: none takes settings twice
            def tried(values):
                function(*values)

            tried()

        run.__name__ = function.__name__
        run.__doc__ = function.__doc__
        marks = [QUICK, pytest.param(WHOLE, marks=pytest.mark.slow)]
        return pytest.mark.parametrize("count", marks)(run)

    return decorate


def sentence_of(error):
    """A `BadInput`'s sentence, which a command prints in one bounded line."""
    line = outcome.bounded(str(error))
    assert line and "\n" not in line and len(line) <= outcome.LONGEST
    return line


def meant(text, key):
    """The value that an argument's text means, by its key."""
    if key.optional and text == "unset":
        return None
    if key.kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
    return key.kind(text)


def same(a, b):
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@forms(st.lists(ARGUMENTS, max_size=4))
def test_a_command_line_is_refused_or_meant(arguments):
    try:
        if flag_reading.asks_for_help(arguments):
            assert help_page.help_page(arguments, ROOT)
            return
        options = command_line.parse(arguments, ROOT)
        check(options.config)
        if options.plan:
            machine.parse_devices(options.devices or machine.DEFAULT_DEVICES)
            machine.check_hardware(options.memory_gb, options.bandwidth_gbps, options.flops)
            if options.noise_scale is not None:
                worth.read(options.noise_scale)
        elif not options.workers and options.strategy != "multi_worker":
            cluster.find(options.strategy, options.workers, options.worker_index)
    except BadInput as error:
        sentence_of(error)
        return
    flat = flatten(options.config)
    table = keys.table(flat)
    for argument in arguments:
        name, equals, text = argument.partition("=")
        path = name.lstrip("-").removeprefix("config.")
        later = arguments[arguments.index(argument) + 1 :]
        again = [a for a in later if a.lstrip("-").removeprefix("no").startswith(f"config.{path}")]
        if equals and name.lstrip("-").startswith("config.") and not again:
            assert same(flat[path], meant(text, table[path])), argument
        if name.lstrip("-").startswith("noconfig."):
            path = path.removeprefix("noconfig.")
            again = [a for a in later if f"config.{path}" in a]
            assert again or flat[path] is False, argument
    with tempfile.TemporaryDirectory() as folder:
        workdir = Workdir(pathlib.Path(folder, "run"), flat)
        workdir.open({})
        Workdir(pathlib.Path(folder, "run"), flat)  # what is written is read as the same


@forms(st.dictionaries(KEYS, JSON, max_size=4), st.sampled_from([*DEFAULT, None]))
def test_a_config_of_any_values_is_refused_or_can_be_kept(changes, without):
    config = ConfigDict(config_file.load(config_file.DEFAULT_CONFIG, ROOT).to_dict())
    flat = {**flatten(config), **changes}
    flat.pop(without, None)
    try:
        check(ConfigDict(flat, allow_dotted_keys=True))
    except BadInput as error:
        sentence_of(error)
        return
    with tempfile.TemporaryDirectory() as folder:
        Workdir(folder, flat).open({})
        Workdir(folder, flat)


NAMES = ["config.json", "versions.json", "result.json", "metrics.csv", ".lock", "checkpoints"]
NAMES += ["tensorboard", "checkpoints/kept.json", "checkpoints/update_00000003.npz"]
CONTENTS = st.one_of(
    JSON.map(json.dumps).map(str.encode),
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
    st.lists(st.lists(VALUES, max_size=3), max_size=3).map(
        lambda rows: "\r\n".join(map(",".join, rows)).encode("utf-8", "replace")
    ),
    st.just(None),  # a folder
)


@forms(st.dictionaries(st.sampled_from(NAMES), CONTENTS, min_size=1, max_size=3))
def test_files_of_a_stranger_are_refused_or_read(files):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        Workdir(path, DEFAULT).open({"deterministic": False, "from": {"epoch": 0, "update": 0}})
        checkpoints.save(path / "checkpoints", {}, {"update": 2}, keep=3)
        for name, content in files.items():
            _put(path / name, content)
        try:
            workdir = Workdir(path, DEFAULT)
            result = workdir.result
            assert result is None or float(result["test_accuracy"]) is not None
            workdir.starts.check_deterministic(True, lambda sentence: None)
            with workdir.lock():
                found = checkpoints.read_newest(workdir.checkpoints, lambda sentence: None)
                assert found is None or found[2]["update"] == 2
            Table(path / "metrics.csv", ["epoch", "update"], after=9)
            workdir.open({})
        except BadInput as error:
            sentence_of(error)
        except OSError as error:  # a folder where a file is, which a command tells, too
            assert error.filename


def _put(path, content):
    """Writes a file, or a folder for None, in place of what is there."""
    if path.parent.is_file() or path.is_dir():
        return
    path.unlink(missing_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)

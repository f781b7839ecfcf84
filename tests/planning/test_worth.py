"""The noise scale in a plan: where it is read from, and the table of batch sizes."""

import io
import json

import pytest
from rich.console import Console

from configs import digits_resnet18
from tf_bdecay import gradient_noise
from tf_bdecay.errors import BadInput
from tf_bdecay.planning import worth


def run(path, config=None, **result):
    path.mkdir()
    (path / "result.json").write_text(json.dumps(result))
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return str(path)


def shown(config, noise):
    text = io.StringIO()
    for part in worth.page(config, noise):
        Console(file=text, width=160).print(part)
    return text.getvalue()


def test_a_number_or_a_run(tmp_path):
    assert worth.read("3412").scale == 3412.0
    measured = {"gradient_noise_scale_of_run": 812.5, "gradient_noise_batch": 448}
    found = worth.read(run(tmp_path / "a", {"seed": 1}, **measured))
    assert (found.scale, found.config) == (812.5, {"seed": 1})
    assert found.where == f"measured over the run in {tmp_path / 'a'}, at batch 448"
    (tmp_path / "a" / "config.json").write_text("{")
    assert worth.read(str(tmp_path / "a")).config == {}


@pytest.mark.parametrize("text", ["0", "-3", "inf", "nan", "somewhere", "", "a\0b", "x" * 5000])
def test_what_is_neither_is_refused(text):
    with pytest.raises(BadInput, match="^--noise_scale must be a number of images"):
        worth.read(text)


def test_a_run_that_measured_none_is_refused(tmp_path):
    with pytest.raises(BadInput, match="measured no gradient noise scale: run it again"):
        worth.read(run(tmp_path / "none", test_accuracy=0.9))
    for scale in ("inf", "nan", "words"):
        measured = {"gradient_noise_scale_of_run": scale, "gradient_noise_batch": 448}
        with pytest.raises(BadInput, match="of which nothing follows"):
            worth.read(run(tmp_path / scale, **measured))
    (tmp_path / "none" / "result.json").write_text("[")
    with pytest.raises(BadInput, match="is damaged .*: name another run in --noise_scale.$"):
        worth.read(str(tmp_path / "none"))


def test_the_table_has_the_plan_s_batch_and_others():
    config = digits_resnet18.get_config()
    config.batch_size = 8192
    text = shown(config, worth.read("9728"))
    assert "an update at 8,192 is worth 0.60 of eight at 1,024." in text
    row = next(line for line in text.splitlines() if "8,192 (this plan)" in line)
    share, use, half = row.split()[-3:]
    assert share == f"{gradient_noise.update_share(8192, 9728):.1%}"
    assert use == f"{gradient_noise.example_share(8192, 9728):.1%}"
    assert half == f"{gradient_noise.worth(8192, 2, 9728):.2f}"
    assert "131,072" in text and "problem" not in text
    config.batch_size = 3
    assert "(this plan)" in shown(config, worth.read("5"))


def test_another_network_is_said():
    config = digits_resnet18.get_config()
    there = {"model.width": 4, "model.name": config.model.name, "batch_size": 1}
    text = " ".join(shown(config, worth.Noise(5.0, "here", there)).split())
    width = config.model.width
    assert f"of another problem: model.width is 4 there and {width} here." in text

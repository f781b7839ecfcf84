"""Config files: ours by name, and those of users."""

import pathlib

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.training.config import config_file

ROOT = pathlib.Path(__file__).parents[3]


def test_an_experiment_is_found_by_its_name_and_by_its_path():
    assert "digits_resnet18" in config_file.files(ROOT) and "common" not in config_file.files(ROOT)
    by_name = config_file.load("digits_resnet18:beta", ROOT)
    assert by_name == config_file.load("configs/digits_resnet18.py:beta", ROOT)
    assert (by_name.experiment, by_name.variant) == ("digits_resnet18", "beta")


def test_the_default_is_there():
    assert config_file.ROOT == ROOT and (ROOT / config_file.DEFAULT_CONFIG).is_file()


def test_every_variant_is_one_of_the_default_experiment():
    for variant in config_file.variants(ROOT):
        assert config_file.load(f"digits_resnet18:{variant}", ROOT).variant == variant


@pytest.mark.parametrize(
    "text, said",
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("def get_config(:", "SyntaxError"),
        ("x = 1", "KeyError: 'get_config'"),
        ("def get_config():\n    return {}", "must return an ml_collections ConfigDict"),
        ("def get_config():\n    return 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_users_own_config_file_that_is_broken(tmp_path, text, said):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(BadInput) as caught:
        config_file.load(str(file), ROOT)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_path_may_have_colons(tmp_path):
    file = tmp_path / "a:b" / "mine:1.py"
    file.parent.mkdir()
    file.write_bytes((ROOT / "configs" / "digits_resnet18.py").read_bytes())
    assert config_file.load(str(file), ROOT).variant == "adaptive"
    assert config_file.load(f"{file}:beta", ROOT).variant == "beta"
    with pytest.raises(BadInput, match="mine:1.py: names no variant: leave the colon out"):
        config_file.load(f"{file}:", ROOT)


@pytest.mark.parametrize("name", ["nothing", "x" * 5000, "a\0b", "", "configs"])
def test_what_is_no_config_file_is_one_sentence(name):
    with pytest.raises(BadInput, match="^Unknown config file .*: valid: ") as caught:
        config_file.load(name, ROOT)
    assert len(str(caught.value)) < 2000

"""Config files of the user's own: those that work, and a sentence for those that do not."""

import pathlib

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.training import command_line, config_file

ROOT = pathlib.Path(__file__).parents[2]


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
        config_file.load_config(str(file), ROOT)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_users_own_config_file_works(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from configs import digits_resnet18\n"
        "def get_config():\n"
        "    config = digits_resnet18.get_config()\n"
        "    config.experiment = 'mine'\n"
        "    return config\n"
    )
    options = command_line.parse([f"--config={file}", "--config.epochs=2"], ROOT)
    assert (options.config.experiment, options.config.epochs) == ("mine", 2)

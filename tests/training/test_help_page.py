"""The page of --help: all there is, on a screen."""

import pathlib

import pytest

from tf_bdecay.training import command_line, config_file, help_page
from tf_bdecay.training.config import flatten

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull", "-help"])
def test_help_is_asked_for(flag):
    assert help_page.asked_for(["--dry_run", flag])
    assert not help_page.asked_for(["--dry_run"])


def test_help_has_every_flag_experiment_and_key_and_fits_a_screen():
    page = help_page.render(["--help"], ROOT)
    for _, name, _, _ in command_line.FLAGS:
        assert f"--{name}" in page
    for file in (ROOT / "configs").glob("*_*.py"):
        if not file.stem.startswith("_"):
            assert f"configs/{file.name}" in page
    for path in flatten(config_file.load_config(config_file.DEFAULT_CONFIG, ROOT)):
        assert f"  {path} = " in page
    assert max(map(len, page.splitlines())) <= 100
    assert len(page.splitlines()) < 120
    assert "alsologtostderr" not in page  # absl's own flags


def test_help_shows_the_keys_of_the_config_that_is_named():
    page = help_page.render(["--config=configs/cifar10_resnet18_sgd.py", "--help"], ROOT)
    assert "optimizer.momentum = 0.9" in page
    assert "optimizer.trust_clip" not in page


def test_help_lists_every_variant():
    from configs.common import VARIANTS

    page = help_page.render(["--help"], ROOT)
    assert ", ".join(VARIANTS) in page

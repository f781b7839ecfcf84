"""--help of the training command lists every flag, experiment and key, and fits a screen."""

import pathlib

from tf_bdecay.training.config import config_file
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training_command import help_page
from tf_bdecay.training_command.flag_table import FLAGS

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_help_has_every_flag_experiment_and_key_and_fits_a_screen():
    page = help_page.help_page(["--help"], ROOT)
    for name in (flag.name for flag in FLAGS):
        assert f"--{name}" in page
    for file in (ROOT / "configs").glob("*_*.py"):
        if not file.stem.startswith("_"):
            assert f"  {file.stem} " in page
    for path in flatten(config_file.load(config_file.DEFAULT_CONFIG, ROOT)):
        assert f"  {path} = " in page
    pictures = help_page.help_page(["--config=configs/imagenet_tiny.py", "--help"], ROOT)
    assert "  data.source = unset" in pictures
    assert max(map(len, [*page.splitlines(), *pictures.splitlines()])) <= 100
    assert len(page.splitlines()) < 140
    assert "alsologtostderr" not in page  # absl's own flags


def test_help_shows_the_keys_of_the_config_that_is_named():
    page = help_page.help_page(["--config=configs/cifar10_resnet18_sgd.py", "--help"], ROOT)
    assert "optimizer.momentum = 0.9" in page
    assert "optimizer.trust_clip" not in page


def test_help_lists_every_variant():
    from configs.common import VARIANTS

    page = help_page.help_page(["--help"], ROOT)
    assert f"variants: {', '.join(VARIANTS)}" in " ".join(page.split())

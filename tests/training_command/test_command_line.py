"""Flags override configs and defaults, and every mistake gets one sentence."""

import pathlib

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.training.config import checks
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training_command import command_line

ROOT = pathlib.Path(__file__).parents[2]


def parse(*arguments):
    return command_line.parse(list(arguments), ROOT)


def refused(*arguments):
    with pytest.raises(BadInput) as caught:
        parse(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_default_is_the_digits_experiment():
    options = parse()
    assert options.config.experiment == "digits_resnet18"
    assert options.workdir == pathlib.Path("runs/digits_resnet18-adaptive-seed0")
    assert (options.strategy, options.dry_run, options.data_dir) == ("none", False, None)
    assert not options.names_workdir and parse("--workdir=a").names_workdir


def test_overrides_reach_the_config_in_any_order_and_form():
    spec = "configs/cifar10_resnet18.py:beta"
    for arguments in (
        ["--config.batch_size=512", f"--config={spec}", "--config.data.augment=false"],
        ["--config", spec, "--config.batch_size", "512", "--noconfig.data.augment"],
        [f"-config={spec}", "-config.batch_size=512", "--config.data.augment=False"],
    ):
        made = parse(*arguments).config
        assert made.experiment == "cifar10_resnet18"
        assert made.decay.policy == "beta"
        assert made.batch_size == 512
        assert made.data.augment is False


def test_a_users_own_config_file_works(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from configs import digits_resnet18\n"
        "def get_config():\n"
        "    config = digits_resnet18.get_config()\n"
        "    config.experiment = 'mine'\n"
        "    return config\n"
    )
    options = parse(f"--config={file}", "--config.epochs=2")
    assert (options.config.experiment, options.config.epochs) == ("mine", 2)


@pytest.mark.parametrize(
    "change, flags, said",
    [
        ("del config['seed']", [], "The config lacks 'seed'"),
        ("del config['experiment']", ["--seed=3"], "The config lacks 'experiment'"),
        ("config.seed = 0; del config['log']", [], "The config lacks 'log.summaries_every'"),
        (
            "del config.learning_rate['peak']",
            ["--config.learning_rate.base_peak=0.1"],
            "The config lacks 'learning_rate.peak'",
        ),
        ("del config['seed']; config.sede = 1", [], "Unknown config key 'sede': did you mean"),
        (
            "del config['seed']; config.seed = {'of': 1}",
            ["--seed=3"],
            "Unknown config key 'seed.of'",
        ),
    ],
)
def test_a_users_own_config_file_without_a_key_is_a_sentence(tmp_path, change, flags, said):
    assert said in refused(f"--config={_changed(tmp_path, change)}", *flags)


def test_a_users_own_config_may_be_frozen(tmp_path):
    file = _changed(tmp_path, "config = FrozenConfigDict(config)")
    assert parse(f"--config={file}", "--config.epochs=2", "--seed=3").config.epochs == 2


def _changed(folder, change):
    """A config file that changes the default one."""
    file = folder / "mine.py"
    file.write_text(
        "from configs import digits_resnet18\n"
        "from ml_collections import ConfigDict, FrozenConfigDict\n"
        "def get_config():\n"
        "    config = ConfigDict(digits_resnet18.get_config().to_dict())\n"
        f"    {change}\n"
        "    return config\n"
    )
    return file


def test_a_home_is_found_behind_every_flag_with_a_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    options = parse("--workdir=~/run", "--init_from=~/a.keras", "--export=~/served")
    assert options.workdir == pathlib.Path("/home/me/run")
    assert (options.init_from, options.export) == ("/home/me/a.keras", "/home/me/served")
    for flag in ("workdir", "init_from", "export", "config"):
        assert f"--{flag} must be a path on this" in refused(f"--{flag}=gs://bucket/run")


def test_an_unset_number_can_be_set():
    assert parse().config.optimizer.trust_clip is None
    assert parse("--config.optimizer.trust_clip=10").config.optimizer.trust_clip == 10.0


@pytest.mark.parametrize(
    "key, value",
    [("learning_rate.peak", 0.5), ("micro_batch_size", 32), ("finetune.frozen", "stem")],
)
def test_a_key_that_is_set_can_be_unset(key, value):
    flags = f"--config.{key}={value}", f"--config.{key}=unset"
    assert flatten(parse(*flags).config)[key] is None
    assert flatten(parse(*flags[::-1]).config)[key] == value
    checks.check(parse(*flags).config)
    assert "or unset. Received: 'None'" in refused("--config.learning_rate.peak=None")
    assert "config.epochs must be" in refused("--config.epochs=unset")


@pytest.mark.parametrize(
    "flag, other",
    [
        ("learning_rate.base_peak=0.5", "learning_rate.peak=0.06"),
        ("learning_rate.base_batch=64", "learning_rate.peak=0.06"),
        ("learning_rate.initial=0.01", "learning_rate.warmup=0.0"),
        ("learning_rate.power_decay=3", "learning_rate.warmup=1.0"),
        ("model.ghost_batch_size=32", "model.normalization=batch"),
    ],
)
def test_a_key_that_another_leaves_without_effect_is_refused(flag, other):
    sentence = refused(f"--config.{other}", f"--config.{flag}")
    key = flag.partition("=")[0]
    assert sentence.startswith(f"config.{key} has no effect with config.{other}: ")
    parse(f"--config.{other}")


def test_crops_and_flips_without_augmentation_are_refused():
    flags = "--config=folder_resnet18", "--config.data.augment=false", "--config.data.flip=false"
    assert "config.data.flip has no effect with config.data.augment=False" in refused(*flags)


def test_the_square_root_rule_can_be_had_in_place_of_a_files_peak():
    made = parse("--config.learning_rate.peak=unset", "--config.learning_rate.base_peak=0.5")
    assert made.config.learning_rate.base_peak == 0.5
    checks.check(made.config)


def test_the_last_of_several_values_counts():
    assert parse("--config.epochs=3", "--config.epochs=4").config.epochs == 4


def test_the_seed_flag_is_the_configs_seed():
    options = parse("--seed=7")
    assert options.config.seed == 7
    assert options.workdir.name == "digits_resnet18-adaptive-seed7"
    assert parse("--seed=7", "--config.seed=7").config.seed == 7
    assert "--seed=7 and --config.seed=8" in refused("--seed=7", "--config.seed=8")


def test_one_call_leaves_nothing_behind_for_the_next():
    parse("--config.epochs=3", "--seed=5")
    options = parse()
    assert (options.config.epochs, options.config.seed) != (3, 5)
    assert options.config.seed == 0


@pytest.mark.parametrize(
    "argument, said",
    [
        ("--confg=x", "'--confg': did you mean '--config'"),
        ("--worksdir=x", "did you mean '--workdir'"),
        ("--config=configs/cifar10_resnt18.py", "did you mean 'configs/cifar10_resnet18.py'"),
        ("--config=configs/cifar10_resnet18.py:adaptiv", "did you mean 'adaptive'"),
        ("--config=configs/cifar10_vgg11.py:beta", "vgg11 has none: use one of none, full"),
        ("--config", "--config needs a file"),
        ("--config=", "--config needs a file"),
        ("--config.batch_siz=3", "did you mean 'batch_size'"),
        ("--config.optimizer.beta1=.9", "did you mean 'optimizer.beta_1'"),
        ("--config.decay=3", "config.decay is a section"),
        ("--config.optimizer.momentum=.9", "only with lars, sgd"),
        ("--config.batch_size=abc", "whole number >= 1, below 2^31. Received: 'abc'"),
        ("--config.batch_size=12.5", "whole number >= 1, below 2^31. Received: '12.5'"),
        ("--config.decay.threshold=much", "a number >= 0 (inf: never decay). Received: 'much'"),
        ("--config.data.augment=maybe", "true or false. Received: 'maybe'"),
        ("--seed=x", "--seed must be a whole number. Received: 'x'"),
        ("--download=maybe", "--download must be true or false. Received: 'maybe'"),
        ("--strategy=miror", "did you mean 'mirrored'"),
        ("--config.batch_size", "Missing value"),
        ("digits", "takes flags only"),
    ],
)
def test_a_mistake_is_one_sentence_that_says_what_would_be_right(argument, said):
    assert said in refused(argument)


def test_plan_counts_devices_and_takes_their_speed():
    options = parse("--plan", "--devices=1..64", "--memory_gb=16", "--flops=2e13")
    assert (options.plan, options.devices, options.memory_gb) == (True, "1..64", 16.0)
    assert (options.flops, options.bandwidth_gbps) == (2e13, None)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--plan", "--flops=fast"], "--flops must be a number. Received: 'fast'"),
        (["--plan", "--dry_run"], "--plan runs nothing and takes no --dry_run"),
        (["--plan", "--strategy=mirrored"], "--plan runs nothing and takes no --strategy"),
        (["--bandwidth_gbps=10"], "--bandwidth_gbps is of a plan on paper: add --plan"),
        (["--noise_scale=runs/a"], "--noise_scale is of a plan on paper: add --plan"),
        (["--strategy=mirrored", "--devices=1..4"], "counts devices, which only --plan does"),
    ],
)
def test_flags_of_a_plan_are_refused_where_they_mean_nothing(arguments, sentence):
    assert sentence in refused(*arguments)


def test_flags_of_weights_that_would_have_no_effect_are_refused():
    assert "--dry_run evaluates nothing" in refused("--dry_run", "--eval_only")
    assert "--dry_run trains nothing and does not go" in refused("--dry_run", "--export=a")
    assert "does not go with --export" in refused("--eval_only", "--export=")
    both = refused("--eval_only", "--workdir=a", "--init_from=b")
    assert "the weights of --workdir=a, or of --init_from=b: leave one of them out" in both
    assert "--plan runs nothing and takes no --init_from" in refused("--plan", "--init_from=a")
    options = parse("--eval_only", "--init_from=b", "--noeval_only", "--dry_run")
    assert (options.init_from, options.eval_only, options.export) == ("b", False, None)


@pytest.mark.parametrize("value", ["", ",", "stem,", "(", "stem,*"])
def test_layers_to_freeze_are_regular_expressions(value):
    flag = f"--config.finetune.frozen={value}"
    with pytest.raises(BadInput, match="config.finetune.frozen must be names of stages or regul"):
        checks.check(parse(flag).config)
    checks.check(parse("--config.finetune.frozen=stem, stage[12]").config)

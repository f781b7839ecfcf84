"""Every experiment's config is complete, valid, and has the paper's numbers."""

import importlib
import math
import pathlib

import pytest

from configs import common
from tf_bdecay.errors import BadInput
from tf_bdecay.training.building import parts
from tf_bdecay.training.config.checks import check
from tf_bdecay.training.config.dotted import flatten

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted(f.stem for f in (ROOT / "configs").glob("*.py"))
EXPERIMENTS = [name for name in FILES if name not in ("__init__", "common")]
CIFAR = [name for name in EXPERIMENTS if name.startswith("cifar")]


class FiftyThousand:
    """CIFAR's sizes without CIFAR."""

    name, train, test, validation = "cifar10", range(50_000), range(10_000), None


def get_config(name, *variant):
    return importlib.import_module(f"configs.{name}").get_config(*variant)


def size_of(config):
    return parts.run_size(config, FiftyThousand)


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("variant", common.VARIANTS)
def test_every_variant_is_a_valid_config_or_a_sentence(name, variant):
    if "vgg11" in name and variant in common.NEED_NORMALIZATION:
        with pytest.raises(BadInput, match="vgg11 has none: use one of none, full, no_bias, bias"):
            get_config(name, variant)
        return
    config = get_config(name, variant)
    check(config)
    assert (config.experiment, config.variant) == (name, variant)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_docstring_says_command_and_expectation(name):
    text = importlib.import_module(f"configs.{name}").__doc__
    assert "python main.py" in text
    assert "Hardware" in text
    assert "xpected" in text


@pytest.mark.parametrize("name", ["cifar10_resnet18", "cifar100_resnet18"])
def test_lamb_runs_have_the_numbers_of_appendix_a(name):
    config = get_config(name)
    size = size_of(config)
    assert size.updates_per_epoch == 6
    assert size.total_updates == 1200
    assert size.peak == pytest.approx(0.04)
    schedule = parts.make_schedule(config, size)
    assert schedule.warmup_updates == 360
    assert float(schedule(180)) == pytest.approx(0.04 * 0.25)
    assert float(schedule(360 + 420)) == pytest.approx(0.04 * 0.25)
    policy = parts.make_optimizer(config, schedule).weight_decay
    assert (policy.kernel, policy.beta, policy.threshold) == (0.01, 1.0, 0.1)
    assert (config.model.ghost_batch_size, config.model.width) == (32, 64)


@pytest.mark.parametrize("batch, peak", [(512, 0.01), (2048, 0.02), (8192, 0.04)])
def test_the_peak_follows_the_batch_by_the_square_root_rule(batch, peak):
    config = get_config("cifar10_resnet18")
    config.batch_size = batch
    assert size_of(config).peak == pytest.approx(peak)


def test_an_explicit_peak_overrides_the_rule():
    config = get_config("cifar10_resnet18")
    config.batch_size = 512
    config.learning_rate.peak = 0.3
    assert size_of(config).peak == 0.3


@pytest.mark.parametrize("batch", [512, 2048, 8192])
def test_figure_1_keeps_its_peak_at_every_batch(batch):
    config = get_config("cifar10_vgg11")
    config.batch_size = batch
    assert size_of(config).peak == 0.02


@pytest.mark.parametrize("batch", [512, 8192])
def test_sgd_has_rate_a_tenth_and_ten_epochs_of_warmup(batch):
    config = get_config("cifar10_resnet18_sgd")
    config.batch_size = batch
    size = size_of(config)
    schedule = parts.make_schedule(config, size)
    assert schedule.warmup_updates == 10 * size.updates_per_epoch
    assert float(schedule(schedule.warmup_updates)) == pytest.approx(0.1)
    assert float(schedule(size.total_updates)) == pytest.approx(0, abs=1e-8)
    optimizer = parts.make_optimizer(config, schedule)
    assert (optimizer.momentum, optimizer.nesterov, optimizer.coupled) == (0.9, False, True)
    assert optimizer.weight_decay.weight == 0.005


@pytest.mark.parametrize(
    "variant, role_decay",
    [
        ("none", dict(kernel=0, bias=0, gamma=0, beta=0)),
        ("full", dict(kernel=0.01, bias=0.01, gamma=0.01, beta=0.01)),
        ("no_bias", dict(kernel=0.01, bias=0, gamma=0, beta=0)),
        ("gamma", dict(kernel=0.01, bias=0, gamma=0.01, beta=0)),
        ("beta", dict(kernel=0.01, bias=0.01, gamma=0, beta=1.0)),
        ("adaptive", dict(kernel=0.01, bias=0.01, gamma=0, beta=1.0)),
        ("bias", dict(kernel=0.01, bias=1.0, gamma=0, beta=1.0)),
        ("bn_frozen", dict(kernel=0.01, bias=0, gamma=0, beta=0)),
    ],
)
def test_variants_decay_what_the_tables_say(variant, role_decay):
    from tf_bdecay.roles import VariableRole

    config = get_config("cifar10_resnet18", variant)
    policy = parts.make_optimizer(config, 0.1).weight_decay
    for role, coefficient in role_decay.items():
        partner = 1 if role in ("gamma", "beta") else None
        variable = VariableRole(0, role, role, (3,), role, "layer", partner)
        assert policy.coefficient(variable) == pytest.approx(coefficient), role


@pytest.mark.parametrize(
    "variant, left", [("bn_frozen", set()), ("gamma_frozen", {"beta"}), ("beta_frozen", {"gamma"})]
)
def test_frozen_parameters_are_not_there_and_statistics_train(variant, left):
    config = get_config("cifar10_resnet18", variant)
    config.model.width = 4
    model = parts.make_model(config, 10, (32, 32, 3))
    names = {v.path.rsplit("/")[-1] for v in model.trainable_variables}
    assert names & {"gamma", "beta"} == left
    norms = [layer for layer in model.layers if hasattr(layer, "moving_mean")]
    assert norms and all(layer.trainable for layer in norms)


def test_misspelt_variant_names_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'adaptive'"):
        get_config("cifar10_resnet18", "adaptve")


def test_the_smaller_rates_are_the_papers():
    config = get_config("cifar10_resnet18")
    assert (config.batch_size, config.epochs) == (8192, 200)
    for config.batch_size, peak in ((8192, 0.04), (2048, 0.02), (512, 0.01)):
        assert size_of(config).peak == pytest.approx(peak)


@pytest.mark.parametrize("optimizer, peak", [("lars", 4.0), ("adamw", 0.004)])
@pytest.mark.parametrize("variant", common.VARIANTS)
def test_the_other_optimizers_have_lambs_schedule_and_their_own_peak(optimizer, peak, variant):
    config = common.vary(getattr(common, optimizer)("mine"), variant)
    check(config)
    assert size_of(config).peak == pytest.approx(peak)
    config.batch_size = 512
    assert size_of(config).peak == pytest.approx(peak / 4)
    assert config.learning_rate.warmup == common.lamb("mine").learning_rate.warmup


class ImageNet:
    """ImageNet's sizes without ImageNet."""

    name, train, test, validation = "imagenet", range(1_281_167), range(50_000), None


@pytest.mark.parametrize("name", ["imagenet_resnet50_d", "imagenet_resnet50"])
@pytest.mark.parametrize(
    "variant, batch, updates, peak, beta",
    [
        ("small_batch", 1024, 1251, 0.04 / math.sqrt(32), None),
        ("no_bias", 32_768, 39, 0.04, None),
        ("beta", 32_768, 39, 0.04, 1.0),
        ("adaptive", 32_768, 39, 0.04, 1.0),
    ],
)
def test_imagenets_arms_have_the_numbers_of_the_paper(name, variant, batch, updates, peak, beta):
    config = get_config(name, variant)
    check(config)
    size = parts.run_size(config, ImageNet)
    assert (config.variant, config.batch_size, config.epochs) == (variant, batch, 90)
    assert size.updates_per_epoch == updates
    assert size.peak == pytest.approx(peak)
    assert (config.data.size, config.data.shorter, config.data.least_area) == (224, None, 0.08)
    assert config.decay.kernel == 0.01 and config.decay.get("beta") == beta


def test_a_misspelt_arm_of_imagenet_names_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'small_batch'"):
        get_config("imagenet_resnet50_d", "small_bach")


@pytest.mark.parametrize("variant", ["small_batch", "no_bias", "beta", "adaptive"])
def test_the_small_experiment_is_what_the_tables_ran(variant):
    from tools.reproducing import runs, scales

    config = get_config("cifar100_small_resnet18", variant)
    decay = {"small_batch": "no_bias"}.get(variant, variant)
    more = {"decay.kernel": 0.8, "learning_rate.base_peak": 0.08}
    if decay != "no_bias":
        more["decay.bias"] = 0.8
    batch = "small" if variant == "small_batch" else "large"
    arm = runs.Arm("cifar100", variant=decay, batch=batch).but(overrides=more)
    ran = runs.resolve(arm, scales.get("cpu"), 3)
    assert runs.key(flatten(config), 3) == ran.key


def test_the_recipe_is_one_of_the_arms_that_ran():
    from configs import cifar100_small_resnet18 as small

    recipe, arm = (small.get_config(v) for v in (small.RECIPE, small.OF_THE_RECIPE))
    recipe.variant = arm.variant
    assert recipe.to_dict() == arm.to_dict()
    with pytest.raises(BadInput, match="small_batch, recipe"):
        small.get_config("recip")

"""Plan mode's page: the plans of real configs, and what the page says about them."""

import io
import math

import pytest
from rich.console import Console

from configs import cifar10_resnet18, cifar10_resnet18_sgd, cifar10_vgg11, digits_resnet18
from tf_bdecay import data, models
from tf_bdecay.errors import BadInput
from tf_bdecay.planning import costs, machine, page
from tf_bdecay.training.building import parts


def page_of(config, devices, **hardware):
    counts, device = machine.parse_devices(devices), machine.check_hardware(**hardware)
    shown, rows = page.plan(config, counts, device)
    text = io.StringIO()
    Console(file=text, width=160).print(shown)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 160
    assert "…" not in text.getvalue()
    return text.getvalue(), rows


def test_the_plan_of_the_paper_s_run():
    text, rows = page_of(
        cifar10_resnet18.get_config(), "1..16384", memory_gb=16, bandwidth_gbps=1.25, flops=2e13
    )
    assert [row.devices for row in rows] == [2**i for i in range(15)]
    assert {(row.updates, row.warmup_updates, row.peak) for row in rows[:9]} == {(1200, 360, 0.04)}
    assert (rows[0].micro_batch, rows[0].micro_batches) == (2048, 4)
    assert [bool(row.reason) for row in rows] == [False] * 14 + [True]
    assert "on paper" in text and "strong scaling" in text
    model = models.resnet18(10, width=64)
    operations = 3 * 8192 * costs.forward_flops(model)
    gradient = 4 * sum(math.prod(v.shape) for v in model.trainable_variables)

    def seconds(n):
        return operations / n / 2e13 + 2 * (n - 1) / n * gradient / 1.25e9

    gain = seconds(32) / seconds(64)
    assert seconds(16) / seconds(32) >= 1.25 > gain
    assert f"It stops scaling at 32 devices: twice as many would be only {gain:.2f} times" in text
    assert "16384 devices: replicas=16384 x config.model.ghost_batch_size=32 must divide" in text
    assert text.count("yes") == 7 and f" {8192 * costs.kept_bytes(model) / 1e6:,.0f} " in text


def test_the_peak_follows_the_square_root_rule_and_the_config():
    config = cifar10_resnet18.get_config()
    config.model.width, config.batch_size = 8, 2048
    text, rows = page_of(config, "2")
    assert rows[0].peak == 0.04 * math.sqrt(2048 / 8192) and rows[0].updates == 24 * 200
    assert "0.04 sqrt(batch / 8192)" in text
    for missing in ("--memory_gb", "--flops", "--bandwidth_gbps"):
        assert f"No {missing}" in text
    config.learning_rate.peak = 0.5
    text, rows = page_of(config, "2")
    assert rows[0].peak == 0.5 and "sqrt" not in text


def test_sgd_keeps_one_moment_and_whole_batch_statistics_are_said():
    config = cifar10_resnet18_sgd.get_config("no_bias")
    config.model.width, config.model.normalization = 8, "batch"
    text, rows = page_of(config, "1,3,8", flops=1e12, bandwidth_gbps=10.0)
    assert rows[0].memory.moments == rows[0].memory.gradients
    assert rows[0].peak == 0.1
    assert rows[1].reason.startswith("replicas=3 must divide config.batch_size:")
    assert "another cut is another training" in text
    assert "It still scales at 8 devices" in text


def test_sam_and_an_average_of_the_weights_are_counted():
    config = cifar10_resnet18.get_config()
    config.model.width = 8
    plain, (row,) = page_of(config, "1", flops=1e12)
    config.sharpness_aware.kind, config.ema.momentum = "sam", 0.9
    text, (found,) = page_of(config, "1", flops=1e12)
    gradients = row.memory.gradients
    assert found.compute_s == pytest.approx(2 * row.compute_s)
    assert found.memory.total == row.memory.total + 3 * gradients
    said = "config.sharpness_aware.kind=sam: compute and reduced are of two passes"
    assert said in text and said not in plain


def test_without_normalization_any_cut_will_do():
    config = cifar10_vgg11.get_config("no_bias")
    config.model.width = 8
    _, rows = page_of(config, "8192,16384")
    assert rows[0].micro_batch == 1 and rows[1].reason


def test_no_device_count_works():
    config = digits_resnet18.get_config()
    text, rows = page_of(config, "3,5", memory_gb=1.0, bandwidth_gbps=1.0, flops=1e12)
    assert all(row.reason for row in rows)
    assert "No device count of this table can do the update." in text


def test_a_kept_remainder_must_be_shared_too():
    config = digits_resnet18.get_config()
    config.data.remainder = "keep"
    with pytest.raises(
        BadInput, match="divide the last batch of an epoch of 1438 images: .* = 94$"
    ):
        page.plan(config, [1], machine.Hardware())
    config = cifar10_resnet18.get_config()
    config.model.width, config.model.ghost_batch_size, config.data.remainder = 8, 16, "keep"
    text, rows = page_of(config, "1,2")
    assert rows[0].updates == 7 * 200 and "smaller batch counts as whole" in text
    assert "the last batch of an epoch of 50000 images = 848" in rows[1].reason


@pytest.mark.parametrize("validation", [0.0, 0.15])
def test_sizes_are_those_of_the_data(validation):
    config = digits_resnet18.get_config()
    config.data.validation = validation
    images = data.load("digits", validation=validation)
    sizes = page.sizes_of(config)
    assert len(sizes.train) == len(images.train)
    assert sizes.image_shape == images.image_shape
    assert sizes.num_classes == images.num_classes
    assert parts.run_size(config, sizes) == parts.run_size(config, images)

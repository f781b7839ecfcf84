"""main.py before it trains: what it refuses, plans and describes."""

import pytest

from main import main
from tests.processes import ended

DIGITS = "--config=configs/digits_resnet18.py"


def test_a_plan_is_on_paper_and_leaves_no_workdir(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = "--config=configs/cifar10_resnet18.py"  # no data is needed for it
    arguments = ["--plan", "--devices=1,16384", "--memory_gb=16", "--flops=2e13"]
    arguments.append("--noise_scale=9728")
    assert main([config, "--config.model.width=16", *arguments]) == 0
    page = capsys.readouterr().out
    worth = "an update at 8,192 is worth 0.60 of eight at 1,024."
    updates = "1,200 updates of 8,192 images"
    for part in (updates, "16384 devices: replicas=16384 x ", "on paper", worth):
        assert part in page
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argument, sentence",
    [
        ("--devices=four", "--devices of plan mode must be counts of devices"),
        ("--memory_gb=0", "--memory_gb must be a number > 0. Received: 0.0"),
        ("--noise_scale=0", "--noise_scale must be a number of images > 0"),
        ("--noise_scale=no/run", "Received: no/run, which has no result.json"),
    ],
)
def test_hardware_that_cannot_be_is_refused(argument, sentence, capsys):
    assert main(["--plan", argument]) == 2
    assert sentence in capsys.readouterr().err


def test_dry_run_describes_and_leaves_no_workdir(tmp_path, capsys):
    path = tmp_path / "dry"
    small = ["--config.batch_size=448", "--config.epochs=4", "--config.learning_rate.peak=0.02"]
    small += ["--config.model.width=4", "--config.decay.threshold=0.01"]
    assert main(["--dry_run", f"--workdir={path}", *small]) == 0
    page = capsys.readouterr().out
    for part in (
        "1,438 images",
        "3 an epoch, 4 epochs: 12",
        "peak 0.02",
        "20 gamma-beta pairs",
        "config.label_smoothing = 0.0",
        "config.decay.threshold = 0.01",
    ):
        assert part in page
    assert not path.exists()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--confg=x"], "did you mean '--config'"),
        (["--config.batch_size=1440"], "larger than the 1438 training images of digits"),
        (
            ["--config.batch_size=100"],
            "config.model.ghost_batch_size=32 must divide config.batch_size",
        ),
        (["--config.decay.threshold=nan"], "config.decay.threshold must be"),
        (["--config.data.remainder=keep"], "or config.data.remainder=drop."),
        (
            ["--config.steps_per_execution=2"],
            "config.steps_per_execution=2 must divide the updates of an epoch",
        ),
        (["--config.data.randaugment=2"], "the digits are grey: leave it out"),
        (["--config.data.mixup=0"], "config.data.mixup must be a number > 0, in float32"),
        (["--config.data.cutmixes=1"], "did you mean 'data.cutmix'?"),
        (["--config.model.frozen=beta"], "no such pair"),
        (
            [f"{DIGITS}:beta_frozen", "--config.model.frozen=none"],
            "config.model.frozen=beta",
        ),
        (
            [f"{DIGITS}:none", "--config.variant=adaptive"],
            "--config=FILE:none",
        ),
        (
            [f"{DIGITS}:beta", "--config.model.frozen=beta"],
            "is the variant beta_frozen",
        ),
        (
            [
                "--config.decay.source=probe",
                "--config.decay.probe_every=3",
                "--config.decay.probe_examples=3200",
            ],
            "more than the 1438 training images",
        ),
        (["--config.model.width=100000"], "would fit"),
        (["--config.learning_rate.peak=1e39"], "config.learning_rate.peak must be"),
        (["--config.optimizer.beta_2=0.9999999999"], "config.optimizer.beta_2 must be"),
        (["--config.model.bn_epsilon=1e-50"], "config.model.bn_epsilon must be"),
        (["--config.epochs=1" + "0" * 30], "config.epochs must be a whole number >= 1 and <="),
        (["--config.epochs=４"], "in the digits 0 to 9. Received: '４'"),
        (["--config.epochs=1_0"], "in the digits 0 to 9. Received: '1_0'"),
        (["--config.experiment="], "config.experiment must be a word"),
        (["--config.experiment=" + "a" * 4000], "(4002 characters)"),
        (["--workdir=" + "a" * 4000], "File name too long"),
        (["--config=" + "a" * 4000], "Unknown config file"),
        ([f"{DIGITS}:"], "names no variant"),
        (["--noconfig.epochs"], "noconfig.epochs negates a value"),
        (["--noconfig.data.augment=true"], "negates a value"),
        (["--devices", "--config.epochs=2"], "--devices needs a value"),
        (["--plan", "--workdir=x"], "takes no --workdir"),
        (["--plan", "--resume=never"], "takes no --resume"),
        (["--plan", "--nodownload"], "takes no --download"),
        (["--logical_devices=-1", "--strategy=mirrored"], "in [0, 1024]"),
        (["--resume=sometimes"], "valid: auto, never"),
        (["--config.log.checkpoint_minutes=0"], "checkpoint_minutes must be a number > 0"),
        (["--config.log.on_save_error=go"], "valid: stop, continue"),
        (["--logical_devices=2"], "add --strategy=mirrored"),
        (["--workdir="], "--workdir is empty"),
        (["--workdir=" + "a" * 300], "File name too long"),
        (["--config=configs/cifar10_resnet18.py", "--data_dir=/nowhere"], "--download"),
        (["--workdir=main.py/below"], "is not a folder"),
        (["--workdir=."], "holds no run of tf_bdecay"),
        (["--workdir=x", "--export=x"], "--export=x must be a folder that the run in"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.py").write_text("")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.strip().splitlines()) == 1 and len(captured.err) < 1300
    assert captured.out == ""
    assert [p.name for p in tmp_path.iterdir()] == ["main.py"]


@pytest.mark.parametrize(
    "strategy, said", [("mirrored", "two devices or more"), ("tpu", "this machine has none")]
)
def test_devices_that_are_not_there_are_one_sentence_and_code_2(
    strategy, said, capsys, tmp_path, monkeypatch
):
    import tensorflow as tf

    if len(tf.config.list_logical_devices()) > 1:
        pytest.skip("this machine has several devices")
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main([f"--strategy={strategy}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line and list(tmp_path.iterdir()) == []


def test_help_is_a_page_on_stdout(capsys):
    assert main(["--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out


def test_what_is_wrong_on_the_command_line_needs_no_tensorflow():
    code = "import sys, main; code = main.main([{!r}]); print(code, 'tensorflow' in sys.modules)"
    for argument, expected in (("--help", 0), ("--config.epohcs=3", 2)):
        command = ["-c", code.format(argument)]
        run = ended(command)
        assert run.stdout.splitlines()[-1] == f"{expected} False", run.stderr


def test_a_real_process_fails_with_a_clean_stderr(tmp_path):
    command = ["main.py", f"--workdir={tmp_path / 'x'}", "--config.batch_size=2048"]
    done = ended(command)
    assert done.returncode == 2
    assert done.stderr.startswith("main.py: config.batch_size=2048 is larger than")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()

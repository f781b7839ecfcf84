"""The table of the training command's flags, from which absl, `Options` and --help come."""

from tf_bdecay.distribution import strategy_flags
from tf_bdecay.terminal.flag_reading import TRACEBACK, Flag

RESUME = ("auto", "never")

FLAGS = (
    Flag(str, "workdir", None, "the run's folder; runs/EXPERIMENT-VARIANT-seedN"),
    Flag(int, "seed", None, "the same as --config.seed"),
    *strategy_flags.table(devices="such as GPU:0,GPU:1; all by default. --plan: 1..4096"),
    Flag(str, "workers", "", "multi_worker: HOST:PORT of each; else TF_CONFIG says it"),
    Flag(int, "worker_index", None, "which of --workers this process is, from 0"),
    Flag(float, "start_timeout", 300.0, "seconds to wait for workers that do not come"),
    Flag(str, "tpu", "", "name or address of a TPU; that of TPU_NAME by default"),
    Flag(str, "data_dir", None, "folder with the prepared CIFAR sets"),
    Flag(bool, "download", False, "download the data set where it is missing"),
    Flag(str, "init_from", None, "weights to start from: a workdir, its checkpoint, FILE.keras"),
    Flag(bool, "eval_only", False, "evaluate the weights of --workdir, or of --init_from"),
    Flag(str, "export", None, "write the trained model, for serving, to this new folder"),
    Flag(
        str,
        "resume",
        "auto",
        "auto: from the newest checkpoint; never: refuse",
    ),
    Flag(
        bool,
        "deterministic",
        False,
        "turn on TensorFlow's op determinism",
    ),
    TRACEBACK._replace(doc="show the traceback of an error, in place of errors.log"),
    Flag(bool, "dry_run", False, "print the resolved experiment and stop"),
    Flag(bool, "plan", False, "print a plan by number of --devices, and stop"),
    Flag(float, "memory_gb", None, "--plan: memory of a device, in 10^9 bytes"),
    Flag(float, "bandwidth_gbps", None, "--plan: 10^9 bytes a second it sends"),
    Flag(float, "flops", None, "--plan: operations a second that it achieves"),
    Flag(str, "noise_scale", None, "--plan: how large a batch pays: images, or a run's workdir"),
)

"""The table of the training command's flags, for absl, `Options` and --help."""

from tf_bdecay.distribution import strategy_flags
from tf_bdecay.terminal.flag_reading import TRACEBACK, Flag

RESUME = ("auto", "never")

FLAGS = (
    Flag(str, "workdir", None, "folder of the run; default runs/EXPERIMENT-VARIANT-seedN"),
    Flag(int, "seed", None, "same as --config.seed"),
    *strategy_flags.table(devices="such as GPU:0,GPU:1; all by default. --plan: 1..4096"),
    Flag(str, "workers", "", "multi_worker: HOST:PORT of each worker; default: TF_CONFIG"),
    Flag(int, "worker_index", None, "place of this process in --workers, from 0"),
    Flag(float, "start_timeout", 300.0, "seconds to wait for missing workers"),
    Flag(str, "tpu", "", "name or address of a TPU; default: TPU_NAME"),
    Flag(str, "data_dir", None, "folder of the prepared CIFAR sets"),
    Flag(bool, "download", False, "download a data set that is missing"),
    Flag(str, "init_from", None, "weights to start from: a workdir, its checkpoint, FILE.keras"),
    Flag(bool, "eval_only", False, "evaluate the weights of --workdir, or of --init_from"),
    Flag(str, "export", None, "write the trained model, for serving, to this new folder"),
    Flag(
        str,
        "resume",
        "auto",
        "auto: continue from the newest checkpoint; never: refuse to",
    ),
    Flag(
        bool,
        "deterministic",
        False,
        "turn on TensorFlow's op determinism",
    ),
    TRACEBACK._replace(doc="show an error's traceback instead of writing errors.log"),
    Flag(bool, "dry_run", False, "print the resolved experiment and stop"),
    Flag(bool, "plan", False, "print a plan for each number of --devices and stop"),
    Flag(float, "memory_gb", None, "--plan: memory of a device, in 10^9 bytes"),
    Flag(float, "bandwidth_gbps", None, "--plan: bandwidth of a device, in 10^9 bytes a second"),
    Flag(float, "flops", None, "--plan: operations a second that a device achieves"),
    Flag(str, "noise_scale", None, "--plan: gradient noise scale in images, or a run's workdir"),
)

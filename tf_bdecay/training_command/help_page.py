"""Training's --help: the flags, the experiments, and the keys of the experiment that was named."""

import ast
import textwrap

from tf_bdecay.terminal import flag_reading
from tf_bdecay.training.config import config_file, keys
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training_command.command_line import split_off
from tf_bdecay.training_command.flag_table import FLAGS

_PAGE = """\
Trains a network by Keras' fit with LAMB and adaptive beta decay, and reports what it measured.

  {program}      digits, in minutes on a CPU
  {program} --config=cifar10_resnet18:beta --data_dir=DIR --config.epochs=20
  {program} --config=cifar10_resnet18:adaptive --dry_run
  {program} --init_from=runs/other --config.finetune.frozen=stem,stage1
  {program} --config=cifar10_resnet18 --plan --memory_gb=16 --flops=2e13

Flags
{flags}

Experiments, for --config=NAME or NAME:VARIANT, or the path of a file like theirs for NAME
{files}
{variants}

Keys of {spec}, set by --config.KEY=VALUE (or =unset, where it says so)
{keys}

Exit codes: 0 done, 1 a failure, such as a file that could not be written, 2 input that cannot be
used, 3 loss, gradients or the result were not finite, 4 another worker was lost or did not come,
130 interrupted (SIGINT), 143 terminated (SIGTERM, a preemption), 129 hung up (SIGHUP), all three
after a checkpoint where training had begun; a second signal ends at once. Run the same command
again to go on."""


def help_page(arguments, root, program="main.py"):
    """The text of --help: flags, experiments, and the keys of the experiment that was named.

    Args:
        arguments: as for `parse`.
        root, program: as for `parse`.

    Raises:
        BadInput: the config file or variant is unknown.
    """
    spec, _ = split_off([a for a in arguments if not flag_reading.asks_for_help([a])])
    flat = flatten(config_file.load(spec, root))
    table = keys.table(flat)
    defaults = {path: "unset" if value is None else value for path, value in flat.items()}
    columns = flag_reading.columns
    return _PAGE.format(
        flags=flag_reading.lines(FLAGS, 18),
        program="python main.py" if program == "main.py" else program,
        files=columns([(n, _first_line(f)) for n, f in config_file.files(root).items()], 22),
        variants=textwrap.fill(
            f"variants: {', '.join(config_file.variants(root))}",
            width=100,
            initial_indent="  ",
            subsequent_indent="    ",
        ),
        spec=spec,
        keys=columns([(f"{k} = {defaults[k]}", table[k].doc) for k in flat if k in table], 38),
    )


def _first_line(file):
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return text.split("\n")[0]

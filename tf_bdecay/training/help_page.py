"""What `main.py --help` prints: the flags, the experiments, and the keys of one experiment."""

import ast
import pathlib

from tf_bdecay.training import schema
from tf_bdecay.training.command_line import FLAGS
from tf_bdecay.training.config import flatten
from tf_bdecay.training.config_file import config_files, load_config, split_off

_HELP = ("help", "h", "helpshort", "helpfull", "?")

_PAGE = """\
Trains a network by Keras' fit with LAMB and adaptive beta decay, and reports what it measured.

  python main.py                                    digits, in minutes on a CPU
  python main.py --config=configs/cifar10_resnet18.py:beta --data_dir=DIR --config.epochs=20
  python main.py --config=configs/cifar10_resnet18.py:adaptive --dry_run
  python main.py --config=configs/cifar10_resnet18.py --plan --memory_gb=16 --flops=2e13

Flags
{flags}

Experiments, for --config=FILE or --config=FILE:VARIANT
{files}
  variants: none, full, no_bias, bias, gamma, beta, adaptive, beta_frozen, gamma_frozen, bn_frozen

Keys of {spec}, set by --config.KEY=VALUE
{keys}

Exit codes: 0 done, 1 a file could not be written, 2 input that cannot be used, 3 stopped as loss
or gradients were not finite, 4 another worker was lost or did not come, 130 interrupted (SIGINT),
143 terminated (SIGTERM, a preemption), both after a checkpoint; a second signal ends at once. Run
the same command again to go on."""


def asked_for(arguments):
    """Whether one of them is --help or a form of it."""
    return any(a.startswith("-") and a.lstrip("-") in _HELP for a in arguments)


def render(arguments, root):
    """The text of --help: flags, experiments, and the keys of the experiment that was named.

    Args:
        arguments: as for `command_line.parse`.
        root: as for `command_line.parse`.

    Raises:
        BadInput: an unknown config file or variant.
    """
    spec, _ = split_off([a for a in arguments if not asked_for([a])])
    flat = flatten(load_config(spec, root))
    table = schema.keys(flat)
    defaults = {path: "unset" if value is None else value for path, value in flat.items()}
    return _PAGE.format(
        flags=_columns([(f"--{name}", text) for _, name, _, text in FLAGS], 18),
        files=_columns([(path, _first_line(path, root)) for path in config_files(root)], 34),
        spec=spec,
        keys=_columns([(f"{k} = {defaults[k]}", table[k].doc) for k in flat if k in table], 38),
    )


def _columns(rows, width):
    return "\n".join(f"  {name:{width}} {text}" for name, text in rows)


def _first_line(path, root):
    text = ast.get_docstring(ast.parse(pathlib.Path(root, path).read_text())) or ""
    return text.split("\n")[0]

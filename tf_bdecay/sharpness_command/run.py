"""The command: flags -> model and data -> measures one after the other -> tables and files."""

import contextlib
import os
import signal
import sys
import threading

from tf_bdecay import quirks
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness_command import flags, source
from tf_bdecay.sharpness_command.folder import Folder, default_path

FAILED, BAD_INPUT = 1, 2
_KEPT = "All that was finished is kept: run the same command again."


class Terminated(KeyboardInterrupt):
    """SIGTERM, as an exception."""


def main(arguments=None, console=None):
    """Runs the command line.

    Args:
        arguments: list of strings, without the program's name; those of the process if None.
        console: a `rich.console.Console` to talk to; stdout by default.

    Returns:
        The exit code: 0 for success, 1 where a file could not be written, 2 for input that cannot
        be used, 130 for a measurement that was interrupted by SIGINT and 143 by SIGTERM.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if flags.asks_for_help(arguments):
            print(flags.help_page())
            return 0
        with _terminable():
            return run(flags.parse(arguments), console)
    except BadInput as error:
        return _stops(error, BAD_INPUT)
    except OSError as error:
        return _stops(f"The measurement stops: {error}.", FAILED)
    except KeyboardInterrupt as stop:
        number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
        what = "Terminated" if isinstance(stop, Terminated) else "Interrupted"
        return _stops(f"{what}. {' '.join(stop.args) or _KEPT}", 128 + number)


def run(options, console=None):
    """Measures what the options say, or prints what is there already.

    Args:
        options: `flags.Options`.
        console: as of `main`.

    Returns:
        The exit code 0.
    """
    found = source.find(options.model)
    data = source.check_data(found, options.data, options.data_dir, options.split)
    settings = settings_of(options, found, data)
    folder = Folder(options.out or default_path(found.name, settings), settings)
    if folder.result:
        from tf_bdecay.sharpness_command import finish

        finish.show(folder.result, console)
        print(f"{folder.path} was finished before: this is what is there. Nothing was measured.")
        return 0
    if source.needs_no_onednn(found):
        quirks.avoid_onednn()
    # TensorFlow takes seconds to import: what can be refused before it, is.
    with quirks.silent_stderr():
        from tf_bdecay.distribution import strategies
        from tf_bdecay.sharpness_command import finish, measuring, subject

        strategy = strategies.make(options.strategy, options.devices, options.logical_devices)
    loaded = subject.load(found, data, options, strategy)
    with folder.open():
        records = measuring.measure_all(loaded, options, folder, console)
        result = finish.write(folder, loaded.words, records)
    finish.show(result, console)
    print(f"Figures, table and pictures are in {folder.path}")
    return 0


def settings_of(options, found, data):
    """What decides the numbers: two commands that agree in it are the same.

    Args:
        options: `flags.Options`.
        found: the `Source`.
        data: from `source.check_data`.

    Returns:
        Dict of JSON values.
    """
    is_file = data.endswith(".npz")
    given = {
        name: getattr(options, name)
        for name in ("loss", "from_logits", "training", "seed", "strategy", "devices")
    }
    return {
        "model": found.name,
        "weights": found.digest[:16],
        "data": os.path.basename(data) if is_file else data,
        "data_digest": source.digest_of(data)[:16] if is_file else None,
        "split": None if is_file else options.split or "train",
        "examples": options.examples,
        "measures": [m.name for m in options.measures],
        "logical_devices": options.logical_devices,
        **given,
        **options.options,
    }


def _stops(why, code):
    print(f"{flags.PROGRAM}: {why}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _terminable():
    """Lets SIGTERM end the context as Ctrl-C does, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

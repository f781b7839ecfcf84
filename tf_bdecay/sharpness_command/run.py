"""The command: flags -> model and data -> measures one after the other -> tables and files."""

import contextlib
import signal
import sys
import threading
import time

from tf_bdecay import quirks
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness.plain_result import plain_result
from tf_bdecay.sharpness.session import Session
from tf_bdecay.sharpness_command import flags, subject
from tf_bdecay.sharpness_command.folder import Folder, default_path, show, write_all

LINE_SECONDS = 5.0  # between plain lines
KEEP_SECONDS = 30.0  # between partial results: a process that is killed loses no more
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
    found = subject.find(options.model)
    data = subject.check_data(found, options.data, options.data_dir, options.split)
    settings = subject.settings_of(options, found, data)
    folder = Folder(options.out or default_path(found.name, settings), settings)
    if folder.result:
        show(folder.result, console)
        print(f"{folder.path} was finished before: this is what is there. Nothing was measured.")
        return 0
    if subject.onednn_overruns(found):
        quirks.avoid_onednn()
    # TensorFlow takes seconds to import: what can be refused before it, is.
    with quirks.silent_stderr():
        from tf_bdecay.distribution import strategies
        from tf_bdecay.sharpness_command import loading

        strategy = strategies.make(options.strategy, options.devices, options.logical_devices)
    loaded = loading.load(found, data, options, strategy)
    with folder.open():
        results = measure_all(loaded, options, folder, console)
        result = write_all(folder, loaded.words, results)
    show(result, console)
    print(f"Figures, table and pictures are in {folder.path}")
    return 0


def measure_all(loaded, options, folder, console=None):
    """Takes every measure that is not finished yet.

    Args:
        loaded: the `loading.Loaded`.
        options: `flags.Options`.
        folder: the `Folder`, opened.
        console: a `rich.console.Console`; stdout by default.

    Returns:
        Dict of measure to plain result, in their order.

    Raises:
        KeyboardInterrupt: a signal came; it says what is kept.
    """
    from tf_bdecay.training.progress import Display  # which loads TensorFlow

    results = {}
    with quirks.silent_vectorized_map(), Display(console, LINE_SECONDS) as display:
        for line in _introduction(loaded):
            display.say(line)
        for measure in options.measures:
            kept = folder.measured(measure.name)
            if kept:
                display.say(f"{measure.name}: was finished before")
            results[measure.name] = kept or _measure(measure, loaded, options, folder, display)
    return results


def _introduction(loaded):
    return [f"{name:7}{text}" for name, text in loaded.words.items()]


def _measure(measure, loaded, options, folder, display):
    import tensorflow as tf

    from tf_bdecay.sharpness.memory import default_budget

    session = _Session(folder, measure.name, display)
    arguments = dict(options.options, seed=options.seed)
    for name in ("from_logits", "memory_gb"):
        value = getattr(loaded if name == "from_logits" else options, name)
        if value is not None:
            arguments[name] = value
    if measure.name == "C_m":
        arguments["training"] = options.training
        arguments["batch_size"] = _batch_size(loaded, options, display)
    if session.resumed:
        display.say(f"{measure.name}: goes on from what was kept")
    session.begin()
    try:
        result = measure.run(loaded.model, loaded.loss, (loaded.x, loaded.y), arguments, session)
        made = plain_result(result, session.seconds)
        folder.keep_measured(measure.name, made)
    except KeyboardInterrupt as stop:
        session.flush()
        stop.args = (
            f"All that is finished, and {measure.name} as far as it can go on, is kept in "
            f"{folder.path}/partial: run the same command again.",
        )
        raise
    except tf.errors.ResourceExhaustedError as error:
        raise BadInput(
            f"{measure.name} does not fit into memory: allow it less than it took, by --memory_gb, "
            f"such as {default_budget() / 2e9:.2g}, half of what it aims at by default."
        ) from error
    session.end()
    return made


def _batch_size(loaded, options, display):
    """m of C_m."""
    asked = options.options.get("batch_size", flags.BATCH_SIZE)
    if asked > len(loaded.x):
        display.say(
            f"C_m: m is {len(loaded.x)}, all examples in one batch: they are fewer than {asked}"
        )
    return min(asked, len(loaded.x))


class _Session(Session):
    """Shows progress, and keeps partial results now and then, and when it is asked to.

    Args:
        folder: a `Folder`, opened.
        name: of the measure.
        display: a `Display`.
    """

    def __init__(self, folder, name, display):
        self.folder, self.name, self.display = folder, name, display
        self._kept = folder.state(name) or {}
        self._before = float(self._kept.pop("seconds", 0.0))
        self._began = self._written = time.monotonic()
        self._first = None  # (steps, when) of the first that this start saw
        self._latest = {}

    def begin(self):
        """Shows that the measure begins."""
        self.display.begin(f"{self.name}: tracing, compiling")

    def end(self):
        """Shows that the measure is done."""
        self.display.finish(f"{self.name}: done in {_clock(self.seconds)}")

    @property
    def resumed(self):
        """Whether there is a partial result to go on from."""
        return bool(self._kept)

    @property
    def seconds(self):
        """What the measure took so far, earlier starts included."""
        return self._before + time.monotonic() - self._began

    def progress(self, done, total):
        now = time.monotonic()
        if self._first is None:  # what a resumed measure had before took no time now
            self._first = done, now
        if self.display.due:
            count = f"{done} of {total}" if total else f"{done} products"
            left = "" if self.display.live else self._left(done, total, now)
            self.display.show(f"{self.name}: {count}{left}", done, total)

    def restore(self, key):
        found = {
            name.removeprefix(f"{key}/"): array
            for name, array in self._kept.items()
            if name.startswith(f"{key}/")
        }
        return found or None

    def keep(self, key, state):
        self._latest = {**self._latest, key: state}
        if time.monotonic() - self._written >= KEEP_SECONDS:
            self.flush()

    def flush(self):
        """Writes the latest partial results, where there are any."""
        self._written = time.monotonic()
        arrays = {
            f"{key}/{name}": array
            for key, state in self._latest.items()
            for name, array in state().items()
        }
        if arrays:
            self.folder.keep_state(self.name, {**arrays, "seconds": self.seconds})

    def _left(self, done, total, now):
        first, then = self._first
        if not total or done <= first:
            return ""
        return f", {_clock((now - then) / (done - first) * (total - done))} left"


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"


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

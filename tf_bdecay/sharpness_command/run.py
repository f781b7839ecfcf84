"""The command: flags -> model and data -> measures one after another -> tables and files."""

import contextlib
import sys

from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import extras, quirks
from tf_bdecay.sharpness.results.plain_result import plain_result
from tf_bdecay.sharpness_command import flags, subject
from tf_bdecay.sharpness_command.folder import Folder, default_path, show, write_all
from tf_bdecay.sharpness_command.kept_session import KeptSession
from tf_bdecay.terminal import flag_reading, outcome, signals, streams

LINE_SECONDS = 5.0  # between plain lines of progress
PROMISE = "ends after this step"  # said at the first signal
_KEPT = "All that was finished is kept: run the same command again."
_ALL = "figures, table and pictures"


def main(arguments=None, console=None, stop=None, program=flags.PROGRAM):
    """Runs the command line.

    Args:
        arguments: list of strings, without the program's name; None for those of the process.
        console: a `rich.console.Console` to print to; stdout by default.
        stop: a `signals.Request`, if the caller catches signals; by default they are caught
            here.
        program: the name of the command, with which its sentences begin.

    Returns:
        The exit code: 0 for success; 1 for a failure that is not the input's (a file or stdout
        could not be written, too little memory outside of a measure, an unforeseen error); 2 for
        input that cannot be used, or a measure that does not fit into memory; 128 + the signal's
        number for a measurement that a signal ended: 130 for SIGINT, 143 for SIGTERM, 129 for
        SIGHUP.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    ending = outcome.Ending(program, flag_reading.asks_for_traceback(arguments))
    ending.what, ending.fits = "The measurement", "Give fewer --examples."
    ending.kept = lambda: _KEPT
    path = None

    def body():
        nonlocal path
        if flag_reading.asks_for_help(arguments):
            print(flags.help_page(program))
            return outcome.DONE
        try:
            path = run(flags.parse(arguments, program), console, stop, ending)
        except SystemExit as error:  # a module of --import must not decide our exit code
            raise RuntimeError(f"{error!r} was raised") from error
        return outcome.DONE

    with contextlib.ExitStack() as stack:
        stop = stop or stack.enter_context(signals.deferred(PROMISE))
        with streams.steady(ending, lambda: ending.folder is not None) as lost:
            code = ending.call(body)
    return ending.unless_unread(code, lost, f"But {_ALL} are in {path}." if path else "")


def run(options, console=None, stop=None, ending=None):
    """Measures what the options name, or prints a result that is there already.

    Args:
        options: `flags.Options`.
        console: as in `main`.
        stop: a `signals.Request`.
        ending: an `outcome.Ending`, which is told the folder when the measurement begins.

    Returns:
        The path of the folder with the results.

    Raises:
        BadInput: something that cannot be measured.
        Stopped: a signal came; the message says what is kept.
    """
    stop = stop or signals.Request()
    found = subject.find(options.model)
    data = subject.check_data(found, options.data, options.data_dir, options.split)
    # Pictures in files are identified by their content; other sets, some of which need TensorFlow,
    # are read later.
    images = subject.images_of(found, data, options.data_dir) if data == "pictures" else None
    settings = subject.settings_of(options, found, data, images)
    folder = Folder(options.out or default_path(found.name, settings), settings)
    if folder.result:
        show(folder.result, console)
        print(f"{folder.path} was finished before: this is what is there. Nothing was measured.")
        return folder.path
    quirks.settle_onednn(subject.onednn_overruns(found))
    stop.check()
    extras.check("Measuring", "tensorflow")
    # TensorFlow takes seconds to import, so everything that can be refused without it was.
    with quirks.silent_stderr():
        from tf_bdecay.distribution import strategies

        stop.check()
        from tf_bdecay.sharpness_command import loading

        stop.check()
        strategy = strategies.make(options.strategy, options.devices, options.logical_devices)
    stop.check()
    loaded = loading.load(found, data, options, strategy, images)
    stop.check()
    if ending:
        ending.folder = folder.path
    with folder.open():
        results = measure_all(loaded, options, folder, console, stop)
        result = write_all(folder, loaded.words, results)
    show(result, console)
    print(f"{_ALL.capitalize()} are in {folder.path}")
    if stop.number is not None:
        all_done = f"All was finished before: {_ALL} are in {folder.path}."
        raise signals.Stopped(stop.number, all_done)
    return folder.path


def measure_all(loaded, options, folder, console, stop):
    """Takes every measure that is not yet finished.

    Args:
        loaded: the `loading.Loaded`.
        options: `flags.Options`.
        folder: the `Folder`, opened.
        console: a `rich.console.Console`; None for stdout.
        stop: a `signals.Request`.

    Returns:
        Dict of measure to plain result, in the measures' order.

    Raises:
        Stopped: a signal came; the message says what is kept.
    """
    from tf_bdecay.terminal.display import Display  # which needs rich

    results = {}
    with Display(console, LINE_SECONDS) as display:
        for name, text in loaded.words.items():
            display.say(f"{name:7}{text}")
        for measure in options.measures:
            kept = folder.measured(measure.name)
            if kept:
                display.say(f"{measure.name}: was finished before")
            session = KeptSession(folder, measure.name, display, stop)
            results[measure.name] = kept or _measure(measure, loaded, options, session)
            stop.check()
    return results


def _measure(measure, loaded, options, session):
    import tensorflow as tf

    from tf_bdecay.sharpness.over_examples.network import NotFinite

    display, folder = session.display, session.folder
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
    except NotFinite as error:
        if error.example is None:
            raise
        raise BadInput(
            f"Example {loaded.order[error.example]}, counted from 0, of {loaded.source} holds NaN "
            "or infinity."
        ) from error
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise _too_little_memory(measure.name, arguments, options) from error
    session.end()
    return made


def _too_little_memory(name, arguments, options):
    """The error that says what to allow or to make smaller."""
    from tf_bdecay.sharpness.over_examples.memory import default_budget

    if options.training:
        m = arguments["batch_size"]
        return BadInput(
            f"{name} does not fit into memory: in training mode its mini-batch is held whole: give "
            f"a smaller --batch_size, such as {max(m // 2, 1)}. Received: {m}"
        )
    budget = options.memory_gb or default_budget() / 1e9
    return BadInput(
        f"{name} does not fit into memory: allow it less than it took, by --memory_gb, such as "
        f"{budget / 2:.2g}, half of what it aimed at."
    )


def _batch_size(loaded, options, display):
    """m of C_m, at most the number of examples."""
    asked = options.options.get("batch_size", flags.BATCH_SIZE)
    if asked > len(loaded.x):
        display.say(
            f"C_m: m is {len(loaded.x)}, all examples in one batch: they are fewer than {asked}"
        )
    return min(asked, len(loaded.x))

"""One measure after the other, each kept when it is done."""

import tensorflow as tf

from tf_bdecay import quirks
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness.memory import default_budget
from tf_bdecay.sharpness.records import record
from tf_bdecay.sharpness_command import flags
from tf_bdecay.sharpness_command.partial import Display, Keeping


def measure_all(subject, options, folder, console=None):
    """Takes every measure that is not finished yet.

    Args:
        subject: the `Subject`.
        options: `flags.Options`.
        folder: the `Folder`, opened.
        console: a `rich.console.Console`; stdout by default.

    Returns:
        Dict of name to record, in the order of the measures.

    Raises:
        KeyboardInterrupt: a signal came; it says what is kept.
    """
    records = {}
    with quirks.silent_vectorized_map(), Display(console) as display:
        for line in _introduction(subject):
            display.say(line)
        for measure in options.measures:
            kept = folder.record(measure.name)
            if kept:
                display.say(f"{measure.name}: was finished before")
            records[measure.name] = kept or _measure(measure, subject, options, folder, display)
    return records


def _introduction(subject):
    return [f"{name:7}{text}" for name, text in subject.words.items()]


def _measure(measure, subject, options, folder, display):
    session = Keeping(folder, measure.name, display)
    arguments = dict(options.options, seed=options.seed)
    for name in ("from_logits", "memory_gb"):
        value = getattr(subject if name == "from_logits" else options, name)
        if value is not None:
            arguments[name] = value
    if measure.name == "C_m":
        arguments["training"] = options.training
        arguments["batch_size"] = _batch_size(subject, options, display)
    if session.resumed:
        display.say(f"{measure.name}: goes on from what was kept")
    display.begin(measure.name)
    try:
        result = measure.run(
            subject.model, subject.loss, (subject.x, subject.y), arguments, session
        )
        made = record(result, session.seconds)
        folder.keep_record(measure.name, made)
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
    display.end(session.seconds)
    return made


def _batch_size(subject, options, display):
    """m of C_m."""
    asked = options.options.get("batch_size", flags.BATCH_SIZE)
    if asked > len(subject.x):
        display.say(
            f"C_m: m is {len(subject.x)}, all examples in one batch: they are fewer than {asked}"
        )
    return min(asked, len(subject.x))

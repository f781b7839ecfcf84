"""Tables and numbers as plain text, wherever they are printed."""

import io
import math


def plain_console(**options):
    """A `rich.console.Console` that prints names letter by letter.

    By default rich takes `[lr=1]` for markup and `:x:` for an emoji, and leaves them out.

    Args:
        **options: of `Console`.
    """
    from rich.console import Console

    return Console(markup=False, emoji=False, **options)


def rendered(*parts, width):
    """Renders tables and text with rich, without colours and without trailing spaces.

    This works in a notebook too, where rich would show them itself and leave the text empty.

    Args:
        *parts: tables, or whatever else rich prints.
        width: largest number of characters in a line.

    Returns:
        A string.
    """
    page = io.StringIO()
    console = plain_console(file=page, width=width, force_jupyter=False, force_terminal=False)
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def clock(seconds):
    """A time as m:ss, from an hour on as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def with_error(value, error):
    """A number with its standard error, to two digits of the error; alone if that is not > 0."""
    if error is None or not (math.isfinite(error) and error > 0 and math.isfinite(value)):
        return f"{value:.3g}"
    places = max(1 - math.floor(math.log10(error)), 0)
    return f"{value:.{places}f} ±{error:.{places}f}"

"""Tables and numbers as plain text, wherever they are printed."""

import io
import math


def rendered(*parts, width):
    """What rich makes of tables and text, without colours, a line's trailing spaces left out.

    In a notebook, too: there rich would show them by itself, and leave the text empty.

    Args:
        *parts: tables, or whatever else rich prints.
        width: characters of a line, at most.

    Returns:
        A string.
    """
    from rich.console import Console

    page = io.StringIO()
    console = Console(file=page, width=width, force_jupyter=False, force_terminal=False)
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def with_error(value, error):
    """A number with its standard error, to two digits of that; alone where it has none above 0."""
    if error is None or not (math.isfinite(error) and error > 0 and math.isfinite(value)):
        return f"{value:.3g}"
    places = max(1 - math.floor(math.log10(error)), 0)
    return f"{value:.{places}f} ±{error:.{places}f}"

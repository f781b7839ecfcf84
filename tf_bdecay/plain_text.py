"""Tables as plain text, wherever they are printed."""

import io


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

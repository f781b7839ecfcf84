"""What pictures have in common: colours, styles, markers, names letter by letter, and the file."""

import warnings

# Okabe and Ito's colours, which the colour-blind tell from each other too, without the yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777")
STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))
_FEW = 20  # points of a curve that are marked


def marker(points):
    """The marker of a curve: few points would be a short line, and one no line at all."""
    return "." if len(points) < _FEW else ""


def over(axis, what):
    """Names the horizontal axis, and grids: epochs and updates are whole numbers."""
    axis.set(xlabel=what)
    axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axis.grid(alpha=0.25)


def verbatim(text):
    """Text for a picture, letter by letter: Matplotlib reads what is between dollars as a formula.

    Args:
        text: somebody's name for a run, a layer or a class.

    Returns:
        A string for Matplotlib.
    """
    return text.replace("$", r"\$")


def save_picture(figure, to, dpi):
    """Writes a figure as PNG; a letter that its font has not is a box, and nothing is said of it.

    Args:
        figure: a Matplotlib `Figure`.
        to: a path or an open binary file.
        dpi: dots an inch.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(to, format="png", dpi=dpi)

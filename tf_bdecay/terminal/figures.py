"""What all pictures share: colours, styles, markers, verbatim names, and how they are saved."""

import warnings

# Okabe and Ito's colours without the yellow; colour-blind readers can tell them apart as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777")
STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))
_FEW = 20  # a curve with fewer points has them marked


def marker(points):
    """The marker of a curve: few points are marked, as a single point draws no line at all."""
    return "." if len(points) < _FEW else ""


def over(axis, what):
    """Labels the horizontal axis, of whole numbers such as epochs or updates, and draws a grid."""
    axis.set(xlabel=what)
    axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axis.grid(alpha=0.25)


def verbatim(text):
    r"""Escapes text for a picture: Matplotlib reads what is between dollar signs as a formula.

    Bytes of a file's name that are no UTF-8, which it cannot draw, become `\xe9`.

    Args:
        text: the user's name for a run, a layer or a class.

    Returns:
        A string for Matplotlib.
    """
    drawable = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return drawable.replace("$", r"\$")


def save_picture(figure, to, dpi):
    """Writes a figure as PNG; letters that the font lacks become boxes, without a warning.

    Args:
        figure: a Matplotlib `Figure`.
        to: a path or an open binary file.
        dpi: dots per inch.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(to, format="png", dpi=dpi)

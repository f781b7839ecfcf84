"""What a finished measurement leaves: the tables on the screen and the files in the folder."""

import io

from rich.console import Console

from tf_bdecay.sharpness import records as plain
from tf_bdecay.storage.files import atomic_write, versions

_LEAST_WIDTH = 200  # of the tables where a line may be longer than the screen


def write(folder, words, records):
    """Writes table, pictures and result; the result last, as it says that all is done.

    Args:
        folder: the `Folder`, opened.
        words: dict of what to tell of model and data.
        records: dict of name to record.

    Returns:
        The result, as written to result.json.
    """
    import pandas as pd

    from tf_bdecay.sharpness import pictures

    partition = next(iter(records.values()))["partition"]
    result = {
        **words,
        "settings": folder.settings,
        "versions": versions(),
        "partition": partition,
        "measures": {
            name: {key: value for key, value in each.items() if key != "partition"}
            for name, each in records.items()
        },
    }
    table = pd.concat([plain.frame(name, each) for name, each in records.items()])
    _write(folder.path / "table.csv", table.to_csv(index=False).encode())
    caption = f"{words['model']}; {words['data']}"
    for name, figure in pictures.all_of(records, caption).items():
        _write(folder.path / name, pictures.png(figure))
    folder.finish(result)
    return result


def show(result, console=None):
    """Prints a result: the title line of each measure, then the tables by layer and by kind.

    Args:
        result: from result.json.
        console: a `rich.console.Console`; stdout by default.
    """
    console = console or Console()
    console.print()
    for each in result["measures"].values():
        _say(console, each["title"])
    page = io.StringIO()
    # A line that is longer than the screen is wrapped by it; a cell cut short would be lost.
    wide = Console(file=page, width=max(console.width, _LEAST_WIDTH))
    for table in plain.tables(result["measures"]):
        wide.print(table)
    for line in page.getvalue().splitlines():
        _say(console, line.rstrip())


def _say(console, line):
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def _write(path, content):
    atomic_write(path, lambda file: file.write(content))

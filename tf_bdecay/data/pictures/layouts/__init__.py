"""Pictures as people keep them: from a path to the layout that it has, and its records.

Layouts: npz, parquet (a file of it: parquet_file), tfrecord (tfrecord_file), webdataset, tar and
folders (files).

What they share: names, of pictures, splits and classes; labels, as numbers or words; archives, for
tar and webdataset; label_file and class_numbers, the text files that label pictures in one folder,
for tar and folders.
"""

import importlib
import os

from tf_bdecay.data.pictures.layouts.names import printable
from tf_bdecay.errors import BadInput, require, shown
from tf_bdecay.storage.paths import local

# Asked in this order, each module imported when it is asked: `recognise(path)` gives a `Found`, or
# None for what is another layout's; `LOOKED_FOR` says in words what it knows. tar takes any
# archive, and so comes after webdataset.
LAYOUTS = ("npz", "parquet", "tfrecord", "webdataset", "tar", "folders")


def open_pictures(path):
    """Finds out how pictures at a path are laid out.

    Args:
        path: a folder or a file, `~` for one's home.

    Returns:
        A `Found`; `layout` says in words what it is.

    Raises:
        BadInput: nothing there, no permission, no layout that is known, or one that is at fault.
    """
    require(
        isinstance(path, (str, os.PathLike)) and os.fspath(path),
        f"`source` must be the path of a folder or a file. Received: source={shown(path)}",
    )
    path = local("`source`", path)
    _check_readable(path)
    modules = [importlib.import_module(f"{__name__}.{name}") for name in LAYOUTS]
    for module in modules:
        try:
            found = module.recognise(path)
        except OSError as error:
            raise BadInput(
                f"{printable(error.filename or path)} cannot be read: {error.strerror or error}."
            ) from error
        if found is not None:
            return found
    raise BadInput(
        f"No pictures that can be read were found in {printable(path)}. Looked for: "
        f"{'; '.join(module.LOOKED_FOR for module in modules)}."
    )


def _check_readable(path):
    name = printable(path)
    if not os.path.exists(path):
        parent = os.path.abspath(path)
        while not os.path.exists(parent):
            parent = os.path.dirname(parent)
        raise BadInput(
            f"There is nothing at {name}: `source` must be a folder of pictures, or a file of "
            f"them. What exists of the path is {printable(parent)}"
        )
    needed = os.R_OK | os.X_OK if os.path.isdir(path) else os.R_OK
    require(os.access(path, needed), f"{name} cannot be read: no permission.")

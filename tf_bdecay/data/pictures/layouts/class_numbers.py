"""Which class a number in a label file means, where that is certain.

Numbers count the classes in some order, and the wrong one trains without an error to an accuracy of
chance. ImageNet's own count in the order of its development kit, which is not that of the ids.
"""

import os
import re

import numpy as np

from tf_bdecay.data.pictures.layouts.names import listed, printable
from tf_bdecay.errors import BadInput, first_line, require, shown
from tf_bdecay.frameworks import extras

GROUND_TRUTH = "ilsvrc2012_validation_ground_truth.txt"
_KIT = "ilsvrc2012_devkit_t12"
# In these the number stands beside the class; in the others it may be only that of the line.
_OF_KIT = ("meta.mat", "map_clsloc.txt")
_TABLES = ("classes.txt", "synset_words.txt", "loc_synset_mapping.txt")


def is_one(name):
    """Whether a file or folder is one that is looked for here."""
    return name.lower() in (_KIT, *_OF_KIT, *_TABLES)


def by_name(classes):
    """Dict of a class's name to its label, and of a folder in its path that no other class has.

    Args:
        classes: names in order, "n01443537/images".
    """
    owners = {}
    for label, name in enumerate(classes):
        for part in name.split("/"):
            owners.setdefault(part, set()).add(label)
    parts = {part: min(labels) for part, labels in owners.items() if len(labels) == 1}
    return parts | {name: label for label, name in enumerate(classes)}


def lines_of(path):
    """Lines of a text file that have something in them, without the blanks around it."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        return [line.strip() for line in file if line.strip()]


def labels(path, root, numbers, classes, named):
    """Labels that numbers stand for.

    Args:
        path: of the label file, for the messages.
        root: folder of the pictures, which a table of the classes may be in or beside.
        numbers: int [n].
        classes: names of the training classes, in order.
        named: whether the file has the pictures' names beside the numbers.

    Returns:
        (labels, words): int64 [n], and by what the numbers were understood.

    Raises:
        BadInput: numbers without a class, or of which it is not certain which they mean.
    """
    file = printable(path)
    kit = os.path.basename(path).lower() == GROUND_TRUTH
    table = _find(root, _OF_KIT if kit else (*_OF_KIT, *_TABLES))
    if table is not None:
        label_of = _table(table, numbers, classes)
        words = f"by {printable(table)}"
    elif _are_numbers(classes):
        label_of = {int(name): label for label, name in enumerate(classes)}
        words = "which the class folders are called"
    else:
        require(
            not kit,
            f"{file} numbers the classes in the order of ImageNet's development kit, not of their "
            "names: put its meta.mat, or map_clsloc.txt, beside it.",
        )
        require(
            named,
            f"{file} has only numbers, of which it is not certain which classes they mean: put "
            "classes.txt beside it, of lines NUMBER CLASS with the names of the class folders of "
            "train/, or write class names instead.",
        )
        label_of = {label: label for label in range(len(classes))}
        words = "which count the class folders in order of name, from 0"
    wrong = [number for number in np.unique(numbers).tolist() if number not in label_of]
    known = [number for number, label in label_of.items() if label is not None]
    require(
        not wrong,
        f"Numbers in {file} must be among those of the {len(known):,} classes, "
        f"{min(known, default=0)} to {max(known, default=0)}, {words}. Received: {listed(wrong)}",
    )
    found = [label_of[number] for number in numbers.tolist()]
    require(
        None not in found,
        f"Numbers in {file} must be of classes that have a folder in train/. Received, {words}: "
        f"{numbers[found.index(None)] if None in found else ''}, which has none",
    )
    return np.array(found, np.int64), words


def _are_numbers(classes):
    numbers = {int(name) for name in classes if re.fullmatch("[0-9]+", name)}
    return len(numbers) == len(classes)


def _find(root, names):
    """Path of the first of the names that is in a folder, beside it, or in the kit beside it."""
    beside = os.path.dirname(root)
    kits = [entry for entry in os.listdir(beside) if entry.lower() == _KIT]
    folders = [root, beside, *(os.path.join(beside, kit, "data") for kit in kits)]
    there = {}
    for folder in folders:
        if os.path.isdir(folder):
            for entry in os.listdir(folder):
                there.setdefault(entry.lower(), os.path.join(folder, entry))
    return next((there[name] for name in names if name in there), None)


def _table(path, numbers, classes):
    """Dict of number to label, None for a class that training lacks."""
    if path.lower().endswith(".mat"):
        name_of, explicit = _kit(path), True
    else:
        name_of, explicit = _lines(path, classes)
    label_of = by_name(classes)
    found = {number: label_of.get(name) for number, name in name_of.items()}
    missing = set(range(len(classes))) - set(found.values())
    require(
        not missing,
        f"{printable(path)} must name all the classes of train/. Received none for: "
        f"{listed(classes[label] for label in sorted(missing))}",
    )
    if explicit or 0 in numbers:
        return found
    # From 1 on? Then the last is there too; and in the order of names it may be the kit's numbers.
    in_order = list(found.values()) == sorted(
        found.values(), key=lambda label: (label is None, label)
    )
    require(
        len(found) in numbers and not in_order,
        f"The numbers of classes, {min(numbers, default=0)} to {max(numbers, default=0)}, may "
        f"count from 0 or from 1, in the order of {printable(path)} or another: write its lines "
        "as NUMBER CLASS.",
    )
    return {number + 1: label for number, label in found.items()}


def _kit(path):
    """Dict of ImageNet's numbers to ids, as its development kit has them in MATLAB's format."""
    extras.check("ImageNet's development kit", "scipy")
    from scipy.io import loadmat

    try:
        synsets = np.atleast_1d(loadmat(path, squeeze_me=True)["synsets"])
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets}
    except Exception as error:  # scipy raises of many kinds for a file that is no such
        raise BadInput(
            f"{printable(path)} must be that of ImageNet's development kit. Received: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error


def _lines(path, classes):
    """(dict of number to class name, whether the numbers are written there)."""
    label_of = by_name(classes)
    lines = lines_of(path)
    words = [line.replace(",", " ").split() for line in lines]

    def class_of(text):
        return text if text in label_of else (text.replace(",", " ").split() or [text])[0]

    for place in (0, 1):  # NUMBER CLASS, or CLASS NUMBER as map_clsloc.txt has it
        written = [row[place] for row in words if len(row) > 1 and row[place].isdecimal()]
        if len(set(map(int, written))) == len(lines):
            rest = [line.split(None, 1)[1] if place == 0 else line for line in lines]
            pairs = zip(written, rest, strict=True)
            return {int(number): class_of(text) for number, text in pairs}, True
    require(
        len({class_of(line) for line in lines}) == len(lines),
        f"{printable(path)} must name each class once. Received: {shown(lines[:3])} ...",
    )
    return {number: class_of(line) for number, line in enumerate(lines)}, False

"""The classes of pictures that lie in one folder, from a text file that lists them.

A line is `NAME LABEL` or `NAME,LABEL`; or LABEL alone, one for each picture in order of name. LABEL
is a class's name, or a number of which `class_numbers` tells the class.
"""

import csv
import os
import re

import numpy as np

from tf_bdecay.data.pictures.layouts import class_numbers
from tf_bdecay.data.pictures.layouts.names import is_picture, listed, printable
from tf_bdecay.errors import BadInput, nearest, require, shown

_WORDS = {"validation": ("val", "valid", "validation"), "test": ("test", "testing")}
_SOLUTION = "loc_val_solution.csv"  # Kaggle's: ImageId,PredictionString
_OF_IMAGENET = (_SOLUTION, class_numbers.GROUND_TRUTH, "imagenet_2012_validation_synset_labels.txt")
_HEADS = {"imageid", "image_id", "image", "filename", "file_name", "file", "name", "path", "id"}


def _names(split):
    stems = [f"{word}{end}" for word in _WORDS[split] for end in ("_labels", "_annotations", "")]
    names = [f"{stem}{kind}" for stem in ("labels", *stems) for kind in (".txt", ".csv")]
    return [*names, *(_OF_IMAGENET if split == "validation" else ())]


def is_one(name):
    """Whether a file is one that `find`, or the reader of class numbers, looks for."""
    return class_numbers.is_one(name) or any(name.lower() in _names(split) for split in _WORDS)


def find(root, split):
    """Path of the file that labels a split's pictures; None where there is none.

    Args:
        root: the split's folder; the file is in it or beside it.
        split: "validation" or "test".

    Raises:
        BadInput: more than one.
    """
    found = [
        os.path.join(folder, name)
        for folder in (os.path.dirname(root), root)
        for name in sorted(os.listdir(folder))
        if name.lower() in _names(split) and os.path.isfile(os.path.join(folder, name))
    ]
    require(
        len(found) <= 1,
        f"The pictures of {printable(root)} must be labelled by one file. Received: "
        f"{listed(found)}. Keep the one that is right.",
    )
    return found[0] if found else None


def labels_of(path, split, place, root, names, classes):
    """Labels of the pictures of a split that lie together, in no class folders.

    Args:
        path: of their label file, from `find`, or None.
        split: "validation" or "test".
        place: path of what they lie in, for the messages.
        root: folder that the label file is in or beside.
        names: of all the pictures, sorted.
        classes: names of the training classes, in the order of their labels.

    Returns:
        (labels, words): int64 [n], and where they are from in words; (None, words) for test
        pictures without a label file, which are left out.

    Raises:
        BadInput: no label file for validation pictures, or one that `read` refuses.
    """
    if path is None and split == "test":
        return None, f"{printable(place)} left out, since its pictures have no labels"
    require(
        path,
        f"The pictures in {printable(place)} are in no class folders, and no file tells their "
        f"classes: put them into folders as those of train/ are, or a file {split}_labels.txt in "
        "or beside it, of lines NAME LABEL, where LABEL is the name of a class folder of train/.",
    )
    return read(path, root, names, classes)


def read(path, root, names, classes):
    """Labels of pictures by a label file.

    Args:
        path: of the file.
        root: folder of the pictures, which what explains the numbers is in or beside.
        names: of all the pictures, sorted.
        classes: names of the training classes, in the order of their labels.

    Returns:
        (labels, words): int64 [n], and where they are from in words.

    Raises:
        BadInput: a picture without a label or the other way round, a class that is not one of
            training, or numbers of which it is not certain which classes they mean.
    """
    lines = class_numbers.lines_of(path)
    place_of = _places(names)
    rows = [_name_and_label(line, place_of) for line in lines]
    if rows and rows[0][0].lower() in _HEADS and rows[0][0] not in place_of:
        lines, rows = lines[1:], rows[1:]
    # A line that is "1" has a label, though a picture be called 1.png.
    named = any(text and (name in place_of or is_picture(name)) for name, text in rows)
    if named:
        texts = _by_picture(path, rows, place_of, names)
        if os.path.basename(path).lower() == _SOLUTION or "_annotations" in os.path.basename(path):
            texts = [re.split("[\t, ]", text)[0] for text in texts]  # then come boxes
    else:
        texts = lines
        _check_order(path, lines, names)
    return _labels(path, root, texts, classes, named)


def _places(names):
    """Dict of a picture's name, and of what is before its suffix where no other has it too."""
    stems, twice = {}, set()
    for place, name in enumerate(names):
        stem = os.path.splitext(name)[0]
        twice |= {stem} & stems.keys()
        stems[stem] = place
    unique = {stem: place for stem, place in stems.items() if stem not in twice}
    return unique | {name: place for place, name in enumerate(names)}


def _name_and_label(line, known):
    """Divides a line after the longest picture's name that it begins with, else its first word."""
    for separator in reversed(list(re.finditer("[\t, ]", line))):
        name = line[: separator.start()].strip('" ').rpartition("/")[2]
        if name in known:
            return name, line[separator.end() :].strip('\t, "')
    cells = next(csv.reader([line])) if "," in line else line.split(None, 1)
    return os.path.basename(cells[0].strip()), ",".join(cells[1:]).strip()


def _by_picture(path, rows, place_of, names):
    """What the file says of each picture, in the order of names."""
    texts, extra = [None] * len(names), []
    for name, text in rows:
        place = place_of.get(name)
        if place is None:
            extra.append(name)
            continue
        require(
            texts[place] in (None, text),
            f"{printable(path)} must label each picture once. Received for {shown(name)}: "
            f"{shown(texts[place])} and {shown(text)}",
        )
        texts[place] = text
    missing = [name for name, text in zip(names, texts, strict=True) if text is None]
    for what, wrong in (("lines without a picture", extra), ("pictures without a line", missing)):
        require(
            not wrong,
            f"{printable(path)} must have a line for each of {len(names):,} pictures and no "
            f"other. Received {len(wrong):,} {what}, the first {shown(wrong[0] if wrong else '')}",
        )
    return texts


def _check_order(path, lines, names):
    """Raises `BadInput` unless it is certain which label of a plain list is whose."""
    require(
        len(lines) == len(names),
        f"{printable(path)} must have a line for each of {len(names):,} pictures. Received: "
        f"{len(lines):,} lines, of which the first is {shown(lines[0] if lines else '')}",
    )

    def counting(name):
        return [int(part) if part.isdecimal() else part for part in re.split("([0-9]+)", name)]

    other = sorted(names, key=counting)
    first = next((mine for mine, its in zip(names, other, strict=True) if mine != its), None)
    require(
        first is None,
        f"{printable(path)} has labels without names, and whose they are is not certain: "
        f"{shown(first)} has another place in the order of letters than in that of numbers. Write "
        "NAME LABEL on its lines.",
    )


def _labels(path, root, texts, classes, named):
    label_of = class_numbers.by_name(classes)
    if all(text in label_of for text in texts):
        how = "" if named else ", a line for each picture in order of name"
        labels, words = [label_of[text] for text in texts], f"class names in {printable(path)}{how}"
    elif all(re.fullmatch("[0-9]+", text) for text in texts):
        numbers = np.array([int(text) for text in texts])
        labels, how = class_numbers.labels(path, root, numbers, classes, named)
        words = f"numbers in {printable(path)}, {how}"
    else:
        wrong = next(text for text in texts if text not in label_of)
        guess = nearest(wrong, classes)
        raise BadInput(
            f"Labels in {printable(path)} must be names of training classes, or all of them "
            f"numbers. Received: {shown(wrong)}" + (f": did you mean {guess!r}?" if guess else "")
        )
    return np.asarray(labels, np.int64), words

"""Pictures in class folders: PATH/train/CLASS/*.jpg, PATH/val/CLASS/*.jpg; or PATH/CLASS/*.jpg.

A class is the path, below its split, of a folder that holds pictures: "cats" and "dogs", and in a
deeper tree "indoor/cats" and "outdoor/cats", which do not merge. Classes are in the order of
`sorted`, as torchvision's ImageFolder and Keras' `image_dataset_from_directory` have them.
"""

import dataclasses
import os
import stat

import numpy as np

from tf_bdecay.data.image_set import SPLITS
from tf_bdecay.data.pictures.layouts import label_file
from tf_bdecay.data.pictures.layouts.files import Files, folder_of
from tf_bdecay.data.pictures.layouts.names import (
    PICTURES,
    check_classes,
    entries_of,
    is_picture,
    listed,
    printable,
    split_named,
)
from tf_bdecay.data.pictures.records import Found
from tf_bdecay.errors import BadInput, require

LOOKED_FOR = (
    "folders of pictures, one a class, in it or in its train/, and in val/ and test/ where there "
    "are such"
)


@dataclasses.dataclass
class _Tree:
    """What is below a split's folder."""

    root: str
    folders: list = dataclasses.field(default_factory=list)  # `Folder`s that hold pictures
    empty: list = dataclasses.field(default_factory=list)  # paths: no picture, no folder in them
    others: list = dataclasses.field(default_factory=list)  # paths: files of other kinds
    circles: list = dataclasses.field(default_factory=list)  # links to a folder they are in


def recognise(path):
    """The class folders at a path as a `Found`; None for a file, or where there is no picture."""
    if not os.path.isdir(path):
        return None
    trees = {split: _walk(root) for split, root in _roots(path).items()}
    if not any(tree.folders for tree in trees.values()):
        return None
    require(
        "train" in trees,
        f"{printable(path)} has no folder train/ of pictures to learn from. Received: "
        f"{listed(os.path.basename(tree.root) for tree in trees.values())}",
    )
    classes = _classes(trees["train"])
    present, splits = {"train": classes}, {"train": Files(trees["train"].folders)}
    words, notes = {}, []
    for split, tree in trees.items():
        if split == "train":
            continue
        labelled = label_file.find(tree.root, split)
        if not _is_flat(tree, classes, labelled):
            present[split], splits[split] = _classes(tree), Files(tree.folders)
            continue
        if labelled:
            _check_none_empty(tree)
        names = tree.folders[0].listing()
        labels, said = label_file.labels_of(labelled, split, tree.root, tree.root, names, classes)
        if labels is None:
            notes.append(said)
            continue
        words[split] = said
        splits[split] = Files(tree.folders, labels)
        present[split] = [classes[label] for label in np.unique(labels)]
    order = [split for split in SPLITS if split in splits]
    check_classes(path, {split: present[split] for split in order})
    layout = "; ".join(["a folder of class folders", *notes, *_passed_over(path, trees.values())])
    return Found(layout, classes, {split: splits[split] for split in order}, words)


def _roots(path):
    """Dict of split to its folder; "train" is the path itself where it holds the class folders."""
    folders, named = 0, {}
    for entry in entries_of(path):
        if entry.is_dir():
            split = split_named(entry.name)
            folders += 1
            if split:
                require(
                    split not in named,
                    f"{printable(path)} has two folders of the {split} split: "
                    f"{listed(sorted([entry.name, os.path.basename(named.get(split, ''))]))}. "
                    "Keep one.",
                )
                named[split] = entry.path
    # A class may be called "train" or "test": of bus/, car/ and train/, all hold pictures.
    if len(named) == 1 and folders > 1:
        (folder,) = named.values()
        if any(is_picture(entry.name) and entry.is_file() for entry in entries_of(folder)):
            return {"train": path}
    return named or {"train": path}


def _walk(root):
    """Everything below a folder as a `_Tree`, its folders by name; links are followed."""
    tree, above = _Tree(root), os.path.realpath(root)
    inside = {_identity(above)}
    while above != os.path.dirname(above):
        above = os.path.dirname(above)
        inside.add(_identity(above))
    todo = [(root, "", frozenset(inside))]
    while todo:
        folder, relative, inside = todo.pop()
        names, sizes, below = [], [], 0
        for entry in entries_of(folder):
            if entry.is_dir():
                identity = _identity(entry.path)
                if identity in inside:
                    tree.circles.append(entry.path)
                else:
                    name = f"{relative}/{entry.name}" if relative else entry.name
                    todo.append((entry.path, name, inside | {identity}))
                    below += 1
                continue
            size = _size(entry) if is_picture(entry.name) else None
            if size is None:
                tree.others.append(entry.path)
            else:
                names.append(entry.name)
                sizes.append(size)
        if names:
            tree.folders.append(folder_of(folder, relative, names, sizes))
        elif not below and relative:
            tree.empty.append(folder)
    tree.folders.sort(key=lambda folder: folder.relative)
    return tree


def _identity(folder):
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _size(entry):
    """Bytes of a file; None for a pipe, a socket or a device, which a read would wait for."""
    try:
        status = entry.stat()
    except OSError as error:
        where = f"a link to nothing, {printable(entry.path)}" if entry.is_symlink() else None
        raise BadInput(
            f"A picture cannot be read: {where or printable(entry.path)}: "
            f"{error.strerror or error}. Mend or remove it."
        ) from error
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _is_flat(tree, classes, labelled):
    """Whether a split has all its pictures in one folder that is no class."""
    if len(tree.folders) != 1:
        return False
    (relative,) = (folder.relative for folder in tree.folders)
    return not relative or (labelled is not None and relative not in classes)


def _classes(tree):
    """Names of a split's classes, in order, once all its folders are seen to be such."""
    root = printable(tree.root)
    _check_none_empty(tree)
    require(tree.folders, f"{root} holds no picture: fill or remove it.")
    if not tree.folders[0].relative:
        loose = tree.folders[0].listing()
        raise BadInput(
            f"Pictures must be in class folders below {root}. Received there, in none: "
            f"{listed(loose)}"
        )
    return tuple(folder.relative for folder in tree.folders)


def _check_none_empty(tree):
    require(
        not tree.empty,
        f"Every class folder needs a picture: fill or remove those without. Received in "
        f"{printable(tree.root)}: "
        f"{listed(sorted(os.path.relpath(folder, tree.root) for folder in tree.empty))} (pictures "
        f"end in one of {' '.join(sorted(PICTURES))})",
    )


def _passed_over(path, trees):
    """Sentences on what is there and was not read, for the report."""
    roots = {tree.root for tree in trees}
    beside = [entry.name for entry in entries_of(path) if entry.path not in roots]
    beside = sorted(name for name in beside if not label_file.is_one(name))
    if beside and path not in roots:
        yield f"not read, beside its splits: {listed(beside)}"
    others = sorted(
        os.path.relpath(file, path)
        for tree in trees
        for file in tree.others
        if not label_file.is_one(os.path.basename(file))
    )
    if others:
        yield f"passed over, for being no pictures: {listed(others)}"
    circles = sorted(os.path.relpath(link, path) for tree in trees for link in tree.circles)
    if circles:
        yield f"not followed, for leading in a circle: {listed(circles)}"

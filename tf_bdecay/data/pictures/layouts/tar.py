"""Pictures in tar archives: class folders in one, or one archive a class in another.

    PATH.tar               CLASS/*.jpg, or train/CLASS/*.jpg and val/CLASS/*.jpg
    PATH/train.tar, PATH/val.tar
    PATH/ILSVRC2012_img_train.tar    n01440764.tar, ..., each of pictures
    PATH/train/n01440764.tar, ...

Classes are named and ordered as those of class folders are. One folder around all the others, as
`tar cf pets.tar pets` has it, is no part of their names. Where an archive is cut short, one record
more stands for what is lost, of the last class before it.
"""

import os

from tf_bdecay.data.image_set import SPLITS
from tf_bdecay.data.pictures.layouts import archives, label_file
from tf_bdecay.data.pictures.layouts.names import (
    check_classes,
    is_picture,
    listed,
    printable,
    split_named,
)
from tf_bdecay.data.pictures.records import Found
from tf_bdecay.data.pictures.spans import Names, Spans
from tf_bdecay.errors import BadInput, require

LOOKED_FOR = "a .tar of class folders or of a .tar for each class, or train.tar and val.tar of such"


class Members(Spans):
    """Pictures that are members of archives."""

    def __init__(self, rows, labels):
        """Takes rows as `_rows` makes them."""
        files = sorted({(index.path, index.size) for _, _, index, *_ in rows})
        place_of = {path: place for place, (path, _) in enumerate(files)}
        super().__init__(
            files,
            [place_of[index.path] for _, _, index, *_ in rows],
            [offset for *_, offset, _ in rows],
            [max(length, 0) for *_, length in rows],
            labels,
            {place: row[2].lost for place, row in enumerate(rows) if row[-1] < 0},
        )
        self._names = Names(
            f"{index.inside}: {name}" if index.inside else name for _, name, index, *_ in rows
        )

    def where(self, index):
        return f"{printable(self.path(index))}: {printable(self._names[index])}"


def recognise(path):
    """The pictures of archives at a path as a `Found`; None where there are no archives."""
    found = archives.find(path)
    if found is None:
        return None
    files, notes = found
    rows, flat, kind = _rows_by_split(files, notes)
    require(
        "train" in rows,
        f"{printable(path)} has no archive of pictures to learn from, such as train.tar. Received: "
        f"{listed([*rows, *flat])}",
    )
    classes, words = tuple(sorted({row[0] for row in rows["train"]})), {}
    for split, index in flat.items():
        labelled, said = _labelled(index, split, classes)
        if labelled is None:
            notes.append(said)
        else:
            rows[split], words[split] = labelled, said
    rows = {split: rows[split] for split in SPLITS if split in rows}
    check_classes(path, {split: {row[0] for row in of_split} for split, of_split in rows.items()})
    label_of = {name: label for label, name in enumerate(classes)}
    splits = {
        split: Members(of_split, [label_of[row[0]] for row in of_split])
        for split, of_split in rows.items()
    }
    layout = {"inner": "a tar of tars, one a class", "flat": "tars, one a class"}.get(
        kind, "a tar of class folders"
    )
    return Found("; ".join([layout, *notes]), classes, splits, words)


def _rows_by_split(files, notes):
    """Reads the headers of all archives.

    Args:
        files: dict of split to paths.
        notes: list of sentences, to which those on what was left out are added.

    Returns:
        (rows, flat, kind): dict of split to its rows, in order; dict of split to the `Index` of an
        archive of pictures in no class folder; the kind of the first archives that tell classes.
    """
    rows, flat, kinds = {}, {}, []
    for split, paths in files.items():
        indexes, kind = _indexes(paths)
        notes += [index.lost for index in indexes if index.lost]
        others = [index.where(name) for index in indexes for name in _others(index)]
        if others:
            notes.append(f"passed over, for being no pictures: {listed(others)}")
        if kind == "flat" and len(paths) == 1 and split not in (None, "train"):
            (flat[split],) = indexes
            continue
        kinds.append(kind)
        for name, made in _by_split(split, indexes, kind).items():
            rows.setdefault(name, []).extend(made)
    return {split: _ordered(made) for split, made in rows.items()}, flat, next(iter(kinds), None)


def _labelled(index, split, classes):
    """(rows, words): those of an archive without class folders, and where their labels are from.

    Test pictures without labels are left out: then None, and that in words.
    """
    rows = _ordered(_rows([index], lambda index, name: ""))
    names = [row[1] for row in rows]
    folder = os.path.dirname(index.path)
    found = label_file.find(folder, split)
    labels, words = label_file.labels_of(found, split, index.path, folder, names, classes)
    if labels is None:
        return None, words
    pairs = zip(labels.tolist(), rows, strict=True)
    return [(classes[label], *rest) for label, (_, *rest) in pairs], words


def _indexes(paths):
    """(indexes of the archives that hold pictures, what these are)."""
    outer = archives.index_all([(path,) for path in paths])
    inner = [
        (index.path, name, offset, length)
        for index in outer
        for name, offset, length in index.members
        if name.lower().endswith(".tar")
    ]
    if inner:
        loose = [
            index.where(name) for index in outer for name, *_ in index.members if is_picture(name)
        ]
        require(
            not loose,
            "An archive must hold pictures, or archives of them, not both. Received beside "
            f"{inner[0][1]}: {listed(loose)}",
        )
        found = archives.index_all(inner)
        # What is lost of the outer one came after the last of the inner ones.
        for index in outer:
            ends = [one for one in found if one.path == index.path]
            require(ends or not index.lost, index.lost)
            if index.lost and not ends[-1].lost:
                ends[-1].lost = index.lost
        return found, "inner"
    folders = {os.path.dirname(name) for one in outer for name, *_ in one.members}
    return outer, "flat" if folders == {""} else "folders"


def _others(index):
    return [
        *index.others,
        *(
            name
            for name, *_ in index.members
            if not is_picture(name) and not name.lower().endswith(".tar")
        ),
    ]


def _by_split(split, indexes, kind):
    """Dict of split to rows."""
    for index in indexes:
        require(
            any(is_picture(name) for name, *_ in index.members),
            index.lost or f"{index.where()} holds no picture: fill or remove it.",
        )
    if kind != "folders":
        require(
            kind == "inner" or len(indexes) > 1,
            f"Pictures must be in class folders in {indexes[0].where()}. Received there, in none: "
            f"{listed(name for name, *_ in indexes[0].members)}",
        )

        def by_archive(index, name):
            return os.path.splitext(os.path.basename(index.inside or index.path))[0]

        return {split or "train": _rows(indexes, by_archive)}
    folders = {os.path.dirname(n) for one in indexes for n, *_ in one.members if is_picture(n)}
    depth, divided = _root(folders, split)
    loose = [
        index.where(name)
        for index in indexes
        for name, *_ in index.members
        if is_picture(name) and name.count("/") <= depth
    ]
    require(not loose, f"Pictures must be in class folders. Received, in none: {listed(loose)}")
    _check_none_empty(indexes, folders, depth)
    made = {}
    for row in _rows(indexes, lambda index, name: os.path.dirname(name)):
        parts = row[0].split("/")
        own = split_named(parts[depth - 1]) if divided else split or "train"
        made.setdefault(own, []).append(("/".join(parts[depth:]), *row[1:]))
    return made


def _root(folders, split):
    """(how many folders are around those of the classes, whether the innermost are splits)."""
    parts = [folder.split("/") for folder in folders]
    common = len(os.path.commonprefix(parts))
    for depth in range(common + 1):
        if all(len(part) > depth + 1 for part in parts):
            there = {split_named(part[depth]) for part in parts}
            if None not in there and (split is None or there == {split}):
                return depth + 1, True
    return int(common > 0 and all(len(part) > 1 for part in parts)), False


def _check_none_empty(indexes, folders, depth):
    filled = set(folders)
    for index in indexes:
        filled |= {os.path.dirname(folder) for folder in index.folders}
    empty = [
        index.where(folder)
        for index in indexes
        for folder in index.folders
        if folder not in filled and folder.count("/") >= depth
    ]
    require(
        not empty,
        f"Every class folder needs a picture; fill or remove those without. Received: "
        f"{listed(empty)}",
    )


def _rows(indexes, class_of):
    """Rows (class, name, index, offset, length), a length below 0 for what is lost."""
    rows = []
    for index in indexes:
        pictures = [
            (class_of(index, name), name, index, offset, length)
            for name, offset, length in index.members
            if is_picture(name)
        ]
        if index.lost and not pictures:
            raise BadInput(index.lost)
        rows += pictures
        if index.lost:
            rows.append((*pictures[-1][:3], 0, -1))
    return rows


def _ordered(rows):
    """Rows by class and name; of a name that an archive has twice, the last counts, as in tar."""
    rows = sorted(rows, key=lambda row: (row[0], row[1], row[-1] < 0))
    return [
        row
        for row, after in zip(rows, [*rows[1:], None], strict=True)
        if after is None or after[-1] < 0 or (row[1], id(row[2])) != (after[1], id(after[2]))
    ]

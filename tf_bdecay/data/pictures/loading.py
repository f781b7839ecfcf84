"""From a path to a `PictureSet`: its layout, its classes, and how its pictures are divided."""

import os

import numpy as np

from tf_bdecay.data.image_set import first_indices, stratified
from tf_bdecay.data.order import check_seed
from tf_bdecay.data.pictures.layouts import open_pictures
from tf_bdecay.data.pictures.layouts.names import listed
from tf_bdecay.data.pictures.picture_set import AREA, PictureSet, PictureSplit
from tf_bdecay.errors import BadInput, check_count, check_flag, check_number, require, unknown

HELD_OUT = 0.2  # of the pictures, for testing, where there is one split alone
ON_ERROR = ("stop", "skip")
_EVALUATED_AT = 224 / 256  # side of the square from the middle, of the shorter side


def load(
    source,
    size=224,
    shorter=None,
    *,
    label_offset=0,
    held_out=None,
    validation=0.0,
    images=None,
    seed=0,
    least_area=AREA[0],
    flip=True,
    antialias=True,
    on_error="stop",
):
    """Finds pictures at a path, whatever layout they are in.

    Of a source with one split alone, a part is held out for testing, class by class. Where there
    are training and validation pictures and none for testing, as ImageNet has them, the validation
    pictures are what is tested on.

    Args:
        source: path of a folder or file: `layouts.open_pictures` has the layouts.
        size: pixels a side of what a network sees.
        shorter: pixels of the shorter side before evaluation cuts out the middle; None for
            size 256 / 224, rounded.
        label_offset: the label, as stored, of the first class: 1 where they count from 1.
        held_out: fraction in (0, 1) for testing, of a source with one split; None for a fifth.
        validation: fraction in [0, 1) of the training pictures that is set aside, by class.
        images: number of training pictures, validation's included: the first of a permutation that
            does not depend on `seed`; None for all of them.
        seed: in [0, 2^32), of what is held out and set aside.
        least_area: in (0, 1], share of a picture's area that a random crop has at least.
        flip: whether half of the training pictures are mirrored left to right.
        antialias: whether shrinking averages all pixels, as Pillow does, or, faster, the four
            nearest, as Keras' layers do.
        on_error: "stop", or "skip": decode every picture once, and leave out those that fail.

    Returns:
        A `PictureSet`.

    Raises:
        BadInput: nothing there that is known, labels without a class, or an argument out of range.
    """
    check_seed(seed)
    check_count("size", size)
    shorter = round(size / _EVALUATED_AT) if shorter is None else shorter
    check_count("shorter", shorter, least=size)
    check_count("label_offset", label_offset, least=0)
    require(0 < least_area <= 1, f"`least_area` must be in (0, 1]. Received: {least_area!r}")
    check_flag("flip", flip)
    check_flag("antialias", antialias)
    if on_error not in ON_ERROR:
        raise unknown("on_error", on_error, ON_ERROR)
    check_number("validation", validation, below=1)
    found = open_pictures(source)
    require("train" in found.splits, f"{source} has no training pictures.")
    classes = _classes(found, label_offset, source)
    splits = {
        name: _labelled(records, name, classes, label_offset, source)
        for name, records in found.splits.items()
    }
    layout, skipped = found.layout, []
    if found.classes is None:
        empty = np.setdiff1d(np.arange(len(classes)), splits["train"].labels)
        if len(empty):
            layout += f"; classes without a training picture: {listed(classes[n] for n in empty)}"
    if on_error == "skip":
        splits = {name: _decodable(split, name, skipped) for name, split in splits.items()}
    train, kept, test = _divided(splits, held_out, validation, images, seed, source)
    return PictureSet(
        name=os.path.basename(os.path.abspath(source)),
        layout=layout,
        classes=classes,
        size=size,
        shorter=shorter,
        train=train,
        test=test,
        validation=kept,
        least_area=least_area,
        flip=flip,
        antialias=antialias,
        label_words=found.label_words,
        skipped=tuple(skipped),
    )


def _classes(found, label_offset, source):
    """Names of the classes; the labels themselves where no names are stored."""
    if found.classes is not None:
        return tuple(found.classes)
    most = int(found.splits["train"].labels.max())
    require(most >= label_offset, f"All labels of {source} are below label_offset={label_offset}.")
    return tuple(str(label) for label in range(label_offset, most + 1))


def _labelled(records, split, classes, label_offset, source):
    labels = records.labels - label_offset
    outside = (labels < 0) | (labels >= len(classes))
    if outside.any():
        first = int(outside.argmax())
        lowest, hint = int(records.labels.min()), ""
        if lowest in (0, 1) and lowest != label_offset:
            hint = f" They seem to count from {lowest}: set label_offset={lowest}."
        raise BadInput(
            f"Labels of {source} must be in {label_offset}, ..., {label_offset + len(classes) - 1}."
            f"{hint} Received in {split}: {records.labels[first]} of {records.where(first)}"
        )
    require(
        label_offset or len(classes) < 2 or split != "train" or labels.min() == 0,
        f"No training picture of {source} has the label 0: set label_offset={labels.min()} if "
        "labels count from there.",
    )
    return PictureSplit(records, np.arange(len(records)), labels)


def _decodable(split, name, skipped):
    """The split without the pictures that cannot be decoded, which `skipped` is told of."""
    faults = split.faults()
    skipped += [(name, fault) for fault in faults if fault is not None]
    kept = np.flatnonzero([fault is None for fault in faults])
    require(len(kept), f"No {name} picture can be decoded. The first: {faults[0]}")
    return split.part(kept)


def _divided(splits, held_out, validation, images, seed, source):
    """(train, validation or None, test) of the splits that a source has."""
    train = splits["train"]
    if images is not None:
        train = train.part(first_indices(len(train), images, f"pictures of {source}"))
    kept, test = splits.get("validation"), splits.get("test")
    if test is None:
        kept, test = None, kept
    require(
        held_out is None or test is None,
        f"`held_out` is for a source with training pictures alone, and {source} has others: leave "
        "it out.",
    )
    if test is None:
        held_out = HELD_OUT if held_out is None else held_out
        check_number("held_out", held_out, above=0, below=1)
        train, test = _set_aside(train, held_out, seed, "held_out", source)
    require(
        not validation or kept is None,
        f"`validation` sets training pictures aside, and {source} has a validation split: leave it "
        "out.",
    )
    if validation:
        train, kept = _set_aside(train, validation, seed, "validation", source)
    return train, kept, test


def _set_aside(split, fraction, seed, name, source):
    """(rest, part): of each class the same fraction, to within one picture."""
    what = f"`{name}`={fraction} of the {len(split)} pictures of {source}"
    return tuple(map(split.part, stratified(split.labels, fraction, seed, what, "pictures")))

"""Scikit-learn's digits: 1,797 real images of handwriting, 8x8x1, in 10 classes."""

import numpy as np

from tf_bdecay.data.image_set import Split, set_aside
from tf_bdecay.frameworks import extras

TEST_FRACTION = 0.2
_WHITE = 16  # scikit-learn counts the set pixels of 4x4 blocks


def read(seed):
    """The digits in two parts, 80 % and 20 % of each class.

    Args:
        seed: of the division; scikit-learn does not divide them.

    Returns:
        (train, test): a `Split` each.
    """
    extras.check("The digits", "sklearn")
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / _WHITE)).astype(np.uint8)[..., np.newaxis]
    return set_aside(Split(images, digits.target.astype(np.int64)), TEST_FRACTION, seed)

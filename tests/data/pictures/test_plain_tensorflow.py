"""TensorFlow decodes plain pictures to Pillow's pixels."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.data.pictures import hard
from tf_bdecay.data.pictures import crops, plain

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_decoded_pictures_are_those_of_pillow():
    for name, content in (hard.ordinary() | hard.hard()).items():
        made = plain.plain(content)
        found = crops.decode_box(made, lambda h, w: tf.stack([0, 0, h, w])).numpy()
        expected = np.asarray(Image.open(io.BytesIO(made)).convert("RGB"))
        assert found.shape == expected.shape, name
        # Another release of the decoder may round otherwise.
        assert np.abs(found.astype(int) - expected).max() <= 1, name

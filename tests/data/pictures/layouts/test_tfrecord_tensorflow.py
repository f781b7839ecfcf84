"""Records that TensorFlow writes are read as TensorFlow reads them."""

import tensorflow as tf

from tests.data.pictures import folder
from tf_bdecay.data.pictures.layouts import tfrecord


def test_records_are_those_that_tensorflow_writes(tmp_path):
    pictures = [folder.picture(n, "JPEG") for n in range(5)]
    with tf.io.TFRecordWriter(str(tmp_path / "train-00000-of-00001")) as writer:
        for n, content in enumerate(pictures):
            features = {
                "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[content])),
                "image/class/label": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[200 * n - 1])
                ),
                "image/object/bbox/xmin": tf.train.Feature(
                    float_list=tf.train.FloatList(value=[0.5, 0.25])
                ),
                "image/class/text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    records = tfrecord.recognise(str(tmp_path)).splits["train"]
    assert folder.contents(records) == [(c, 200 * n - 1) for n, c in enumerate(pictures)]

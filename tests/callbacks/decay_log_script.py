"""A program: one of several workers whose DecayLogs share one folder.

    python decay_log_script.py FOLDER    # with TF_CONFIG

Prints what its `logs` had, as JSON, in the last line.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before all else that starts TensorFlow

import tf_bdecay
from tests.training import small
from tf_bdecay.callbacks import DecayLog

with strategy.scope():
    trainer = small.trainer(tf_bdecay.Lamb(0.01))
data = tf.data.Dataset.from_tensor_slices(small.digits(128)).batch(32, drop_remainder=True)
history = trainer.fit(data, epochs=2, verbose=0, callbacks=[DecayLog(sys.argv[1])]).history
print(json.dumps({name: history[name] for name in ("decay_on_layers", "decay_on_fraction")}))

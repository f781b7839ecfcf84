"""Logs the gradient noise scale in `fit`: `logs`, a line per epoch, TensorBoard."""

import math
import warnings
from typing import NamedTuple

from tf_bdecay import gradient_noise
from tf_bdecay.callbacks.update_log import UpdateLog
from tf_bdecay.errors import check_count, require
from tf_bdecay.frameworks import extras

COLUMNS = ("gradient_noise_scale", "gradient_noise", "gradient_square")
_DESCRIPTIONS = {
    "gradient_noise_scale": "N = S / |G|^2, in examples, from running means of both: the batch "
    "beyond which more examples stop paying.",
    "gradient_noise": "S, running mean: trace of the covariance of one example's gradient.",
    "gradient_square": "|G|^2, running mean: squared norm of the gradient of all examples.",
}


def describe_tag(tag):
    """The description that TensorBoard shows for a tag of this callback, or ""."""
    return _DESCRIPTIONS.get(tag, "")


class Estimate(NamedTuple):
    """What has been measured so far.

    Attributes:
        noise_scale: N, in examples; NaN before the first update, inf if |G|^2 is lost in noise.
        of_run: N over all updates (see `gradient_noise.scale_of_run`).
        noise, square: the running means of S and |G|^2.
        batch: examples of the largest update that was measured.
        measured, left_out: numbers of updates that were measured and left out.
    """

    noise_scale: float
    of_run: float
    noise: float
    square: float
    batch: int
    measured: int
    left_out: int

    def scalars(self):
        """Dict of `COLUMNS` to number."""
        return dict(zip(COLUMNS, (self.noise_scale, self.noise, self.square), strict=True))

    def result(self):
        """The entries of a finished run's result.json."""
        of_run = {"gradient_noise_scale_of_run": self.of_run, "gradient_noise_batch": self.batch}
        return {**self.scalars(), **of_run}

    def sentence(self):
        """The estimate as a sentence: 'gradient noise scale 3,412: an update at 8,192 is ...'."""
        words = f"gradient noise scale {gradient_noise.in_words(self.noise_scale)}"
        if math.isnan(self.noise_scale):
            return words
        return f"{words}: {gradient_noise.sentence(self.batch, self.noise_scale)}"


class GradientNoiseScale(UpdateLog):
    """Measures the batch beyond which more examples stop paying, while a `Trainer` trains.

        N = S / |G|^2        |G|^2 ~ (B |G_B|^2 - b |G_b|^2) / (B - b)
                             S     ~ (|G_b|^2 - |G_B|^2) / (1/b - 1/B)

    (McCandlish et al., 2018, appendix A.1) with G_b the gradient of a part of b examples (a
    micro-batch, or a replica's share) and G_B that of the whole batch. Both are there anyway; the
    only cost is a norm per part. N is the ratio of running means. An update at batch B makes
    1 / (1 + N / B) of the progress of one on all examples, so an update at B is worth
    (B/8 + N) / (B + N) of eight at B/8. It writes

    * after each epoch a line: "gradient noise scale 3,412: an update at 8,192 is worth 0.38 of
      eight at 1,024";
    * in `logs` `gradient_noise_scale`, `gradient_noise` (S) and `gradient_square` (|G|^2);
    * the same three in TensorBoard.

    N describes the gradient of the loss with its regularizers, before clipping, momentum and
    decoupled decay, under the model's own batch normalization. With ghost batches it is exact for
    every batch of whole ghost batches; with plain BatchNormalization on replicas, for every batch
    made of parts as large as a replica's share now. Dropout's noise counts as the examples' own
    (less of it on replicas, which draw the same masks). Skipped updates, and updates with examples
    of weight 0, are left out.

    Args:
        log_dir: folder of the event file; TensorBoard's `--logdir`. None writes no file.
        every: k, to write every k-th update; None writes the last update of each epoch.
        updates: how many updates the running means remember; before that many, they are plain
            means. They belong to the trainer: all callbacks and calls of `fit` share them, until it
            is compiled again.
        show: whether the line is printed.

    Raises:
        BadInput: an argument is out of range; when `fit` begins, the model is not a `Trainer`, it
            trains on one device without micro-batches, with SAM, or on replicas with an optimizer
            without `gradient_norms=True`, or its loss counts examples differently (by a mask, or by
            the mean with sample weights); after the first update, the batch is one micro-batch.

    Example:

        trainer = tf_bdecay.Trainer.of(model)
        trainer.compile(tf_bdecay.Lamb(0.01), loss, micro_batch_size=256)
        noise = tf_bdecay.callbacks.GradientNoiseScale("logs/noise")
        trainer.fit(x, y, batch_size=8192, epochs=20, callbacks=[noise])
        print(noise.estimate().noise_scale)
    """

    state_lasts = True  # beyond the end of an epoch

    def __init__(self, log_dir="logs/noise", every=None, updates=100, show=True):
        super().__init__(log_dir, every, show)
        check_count("updates", updates, of="GradientNoiseScale", what="a whole number of updates")
        self.updates, self._meter = updates, None

    def on_train_begin(self, logs=None):
        """Refuses a model that cannot provide it, and begins to measure."""
        extras.check_backend("GradientNoiseScale")
        require(
            hasattr(self.model, "measure_gradient_noise"),
            "GradientNoiseScale compares the gradients of a batch's parts, which the `fit` of a "
            "stock model does not have: make a tf_bdecay.Trainer.of(model), compile it with a "
            f"micro_batch_size, and fit that. Received: {type(self.model).__name__}",
        )
        self._meter = self.model.measure_gradient_noise(self.updates)
        self._looked = False
        super().on_train_begin(logs)

    def on_train_batch_end(self, batch, logs=None):
        """Refuses a batch without parts, and writes if the update is due."""
        if not self._looked:  # once, since looking makes the host wait for the device
            self._looked = True
            size = self.model.micro_batch_size
            require(
                self._meter.state()["parts"] != 1,
                "GradientNoiseScale compares the gradients of a batch's micro-batches, and this "
                "batch is one: compile with a micro_batch_size of at most half the batch. "
                f"Received: micro_batch_size={size}, a batch of {size}",
            )
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        """Adds to the logs, writes and prints."""
        super().on_epoch_end(epoch, logs)
        found = self.estimate()
        if not self.every:
            self._write(found)
        if logs is not None:
            logs.update(found.scalars())
        if not found.measured and found.left_out:
            warnings.warn(
                f"No gradient noise scale was measured: all {found.left_out} updates had examples "
                "of weight 0, or a batch of one micro-batch.",
                stacklevel=2,
            )
        self._say(epoch, found.sentence())

    def estimate(self):
        """The `Estimate` of the updates so far."""
        require(
            self._meter is not None,
            "GradientNoiseScale has measured nothing yet: give it to `fit` as a callback first.",
        )
        state = self._meter.state()
        square, noise = state["gradient_square"], state["gradient_noise"]
        of_run = gradient_noise.scale_of_run(state["batch"], state["update_share"])
        if not state["measured"]:
            square = noise = of_run = math.nan
        return Estimate(
            *(gradient_noise.noise_scale(square, noise), of_run, noise, square),
            *(state[name] for name in ("batch", "measured", "left_out")),
        )

    def get_state(self):
        """The means and counts from which a resumed run continues: a dict of name to number."""
        return self._meter.state()

    def set_state(self, state):
        """Continues from what `get_state` returned, once `fit` has begun."""
        self._meter.assign(state)

    def _open(self):
        from tf_bdecay.storage.events import Events  # which needs TensorFlow

        events = Events(self.log_dir)
        if self._done:
            events.restarted(self._done)
        return events

    def _found(self):
        return self.estimate()

    def _put(self, found):
        if found.measured:
            self._files.scalars(self._done, found.scalars(), describe_tag)
            self._files.flush()

"""MixUp and CutMix: labels follow the pixels, and equal draws give what keras-cv's layers give."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.data.pictures.in_memory import picture_set_of
from tests.data.sets import image_set_of
from tf_bdecay.data import training_batches
from tf_bdecay.data.mixing import beta_draws, cutmix, mix, mixing_draws, mixup, neighbours
from tf_bdecay.data.strong_augmentation import StrongAugmentation

OWN = tf.constant([3, 4], tf.int64)
SETS = {"in memory": image_set_of(11), "pictures": picture_set_of(11)}
BOTH = StrongAugmentation(mixup=0.4, cutmix=1.0)


def take(batches, count):
    return list(batches.take(count).as_numpy_iterator())


def batch_of(count, side=12, seed=0):
    """Pictures of noise, each of one class: float32 and int64."""
    x = np.random.default_rng(seed).normal(size=(count, side, side + 3, 3)).astype("float32")
    return x, np.arange(count)


def partners_of(count):
    """1, 0, 3, 2, ..., and of an odd last one that before it; the only one has itself."""
    found = [i + 1 if i % 2 == 0 else i - 1 for i in range(count)]
    if count % 2:
        found[-1] = max(count - 2, 0)
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9])
def test_neighbours_are_partners(count):
    assert neighbours(tf.constant(count)).numpy().tolist() == partners_of(count)


@pytest.mark.parametrize("alpha", [1e-30, 0.05, 0.2, 1.0, 8.0, 1e6])
def test_weights_are_of_the_beta_distribution(alpha):
    """Both halves are alike; the lower one is looked at, near 0 floats lie closer than near 1."""
    found = beta_draws(tf.constant(alpha, tf.float64), OWN, 4000).numpy()
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
    low = found[found < 0.5]
    assert stats.binomtest(len(low), len(found)).pvalue > 1e-3
    if alpha < 0.01:  # hardly any number that is neither 0 nor 1
        assert set(found) == {0, 1}
        return
    assert stats.kstest(low, lambda t: 2 * stats.beta(alpha, alpha).cdf(t)).pvalue > 1e-3
    assert stats.spearmanr(found[::2], found[1::2]).pvalue > 1e-3


@settings(max_examples=20)
@given(st.integers(1, 9), st.sampled_from([0.01, 0.5, 1.0]), st.booleans(), st.integers(0, 2**40))
def test_labels_say_what_pictures_are_of(count, alpha, by_mixup, seed):
    """Pixels recomputed in float64 from the labels alone, and labels from the pixels alone."""
    x, y = batch_of(count)
    strong = StrongAugmentation(mixup=alpha) if by_mixup else StrongAugmentation(cutmix=alpha)
    draws = mixing_draws(tf.constant([seed, 1], tf.int64), strong, count)
    pictures, labels = (t.numpy() for t in mix(x, y, *draws, count))
    partners = partners_of(count)
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
    for i, j in enumerate(partners):
        assert labels[i].min() >= 0 and labels[i, [i, j]].sum() == pytest.approx(
            1 if i != j else 2 * labels[i, i]
        )
        own = np.float64(labels[i, i])
        if by_mixup:
            expected = own * x[i] + (1 - own) * x[j]
            np.testing.assert_allclose(pictures[i], expected, atol=1e-5)
            continue
        of_own = (pictures[i] == x[i]).all(-1)
        pasted = (pictures[i] == x[j]).all(-1)
        assert (of_own | pasted).all()
        if i != j:
            assert of_own.mean() == pytest.approx(own)
            rows, columns = np.flatnonzero(~of_own.all(1)), np.flatnonzero(~of_own.all(0))
            box = np.ix_(rows, columns)
            assert (~of_own).sum() == (~of_own[box]).sum() == len(rows) * len(columns)
            for places in (rows, columns):  # next to each other
                assert not len(places) or np.ptp(places) == len(places) - 1


def test_a_box_has_the_side_of_its_weight_around_its_centre():
    x, _ = batch_of(4, side=20)
    x, partners = x[:, :, :20], neighbours(4)
    weights = np.float32([0.75, 0.0, 1.0, 0.75])
    centres = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.0, 0.99]])
    pictures, shares = (t.numpy() for t in cutmix(x, partners, weights, centres))
    expected = x.copy()
    expected[0, 5:15, 5:15] = x[1, 5:15, 5:15]
    expected[1] = x[0]
    expected[3, :5, 14:] = x[2, :5, 14:]  # cut off at two edges
    np.testing.assert_array_equal(pictures, expected)
    np.testing.assert_allclose(shares, [0.75, 0, 1, 1 - 30 / 400], rtol=1e-6)


def test_of_two_ways_each_batch_has_one_and_both_come():
    images, updates = image_set_of(48), 40
    batches = take(training_batches(images, 8, 0, augment=False, strong=BOTH), updates)
    plain = take(training_batches(images, 8, 0, augment=False), updates)
    pasted = []
    for (x, _), (before, _) in zip(batches, plain, strict=True):
        partners = before[partners_of(8)]
        pasted.append(
            [((p == a) | (p == b)).all() for p, a, b in zip(x, before, partners, strict=True)]
        )
    ways = [all(found) for found in pasted]
    assert all(all(found) or not any(found) for found in pasted)
    assert 10 < sum(ways) < 30


@pytest.mark.parametrize("images", SETS.values(), ids=SETS)
def test_mixed_batches_are_the_plain_ones_mixed_by_seed_epoch_and_update(images):
    """Any update can be the first, to the bit; an epoch's last batch is smaller."""
    count = images.num_classes
    whole = take(training_batches(images, 4, 7, 0, "keep", strong=BOTH), 7)
    resumed = take(training_batches(images, 4, 7, 2, "keep", strong=BOTH), 5)
    plain = take(training_batches(images, 4, 7, 0, "keep"), 7)
    for (x, labels), (_, y) in zip(whole, plain, strict=True):
        assert labels.shape == (len(y), count) and len(x) == len(y)
        named = labels[np.arange(len(y)), y] + labels[np.arange(len(y)), y[partners_of(len(y))]]
        np.testing.assert_allclose(named, 1, rtol=1e-6)
    for one, other in zip(whole[2:], resumed, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    # Epochs, updates and seeds have weights of their own.
    others = take(training_batches(images, 4, 8, 0, "keep", strong=BOTH), 1)
    weights = {tuple(np.sort(labels.max(1))) for _, labels in (*whole, *others)}
    assert len(weights) == 8


@pytest.mark.parametrize("images", [image_set_of(12), picture_set_of(12)], ids=SETS)
def test_parts_of_workers_make_up_the_mixed_batch(images):
    """An epoch's last batch, too."""

    def make(part):
        return training_batches(images, 8, 3, 1, "keep", part=part, strong=BOTH)

    whole, parts = take(make(None), 3), [take(make((i, 2)), 3) for i in range(2)]
    for update, batch in enumerate(whole):
        for i, tensor in enumerate(batch):
            pieces = [part[update][i] for part in parts]
            np.testing.assert_array_equal(np.concatenate(pieces), tensor)


def test_a_batch_of_one_picture_stays_as_it_is():
    images = image_set_of(5)
    *_, (x, labels) = take(training_batches(images, 4, 0, 0, "keep", strong=BOTH), 2)
    *_, (expected, y) = take(training_batches(images, 4, 0, 0, "keep"), 2)
    np.testing.assert_allclose(x, expected, atol=1e-6)
    np.testing.assert_allclose(labels, np.eye(images.num_classes)[y], rtol=1e-6)


def test_shapes_are_static_where_all_batches_have_one_size():
    for images in SETS.values():
        x, labels = training_batches(images, 4, 0, strong=BOTH).element_spec
        assert x.shape == (4, *images.image_shape) and labels.shape == (4, images.num_classes)
        assert x.dtype == labels.dtype == tf.float32


class TestBesideKerasCv:
    """Its layers draw by themselves; labels and pixels tell what they drew."""

    @pytest.fixture
    def layers(self):
        return pytest.importorskip("keras_cv", reason="keras-cv is not installed").layers

    def theirs(self, layer, x):
        found = layer({"images": tf.constant(x), "labels": tf.eye(len(x))})
        labels = found["labels"].numpy()
        # A picture that is its own partner has nothing to tell.
        partners = np.array(
            [next((j for j in row.nonzero()[0] if j != i), i) for i, row in enumerate(labels)]
        )
        return found["images"].numpy(), labels, partners

    def test_mixup_is_theirs_at_equal_draws(self, layers):
        x, _ = batch_of(16)
        pictures, labels, partners = self.theirs(layers.MixUp(alpha=1.0), x)
        ours = mixup(x, partners, np.diagonal(labels).copy())
        np.testing.assert_allclose(ours, pictures, atol=1e-6)

    def test_cutmix_is_theirs_at_equal_draws_where_no_edge_cuts(self, layers):
        """Where one does, their label is that of the whole box, and ours of what is pasted."""
        side, agreed, cut = 12, 0, 0
        for number in range(6):
            x, _ = batch_of(16, side, number)
            x = x[:, :, :side]
            pictures, labels, partners = self.theirs(layers.CutMix(alpha=1.0), x)
            for i, j in enumerate(partners):
                pasted = (pictures[i] != x[i]).any(-1)
                if i == j or not pasted.any():
                    continue
                rows, columns = (np.flatnonzero(pasted.any(axis)) for axis in (1, 0))
                whole = round((1 - labels[i, i]) * side**2) ** 0.5  # their side before the edge
                if len(rows) < whole - 0.5 or len(columns) < whole - 0.5:
                    assert 1 - labels[i, i] > pasted.mean() + 1e-3
                    cut += 1
                    continue
                # The pixel around which ours lies, and a weight that gives this length of a side.
                centre = [
                    [(places[0] + len(places) // 2 + 0.5) / side for places in (rows, columns)]
                ]
                weight = np.float32([1 - ((whole + 1e-3) / side) ** 2])
                ours, share = cutmix(x[[i, j]], [1, 0], weight.repeat(2), np.repeat(centre, 2, 0))
                np.testing.assert_array_equal(ours[0], pictures[i])
                assert float(share[0]) == pytest.approx(labels[i, i], abs=1e-6)
                agreed += 1
        assert agreed > 10 and cut > 10

"""The gradient noise scale: how large a batch pays (McCandlish et al., 2018, appendix A.1).

The gradient G_B of a mean over B examples scatters around the gradient G of all examples. Gradients
at two batch sizes separate the scatter from the rest:

    E |G_B|^2  =  |G|^2 + S / B              S = tr(covariance of one example's gradient)

    |G|^2  ~  (B |G_B|^2 - b |G_b|^2) / (B - b)
    S      ~  (|G_b|^2 - |G_B|^2) / (1 / b - 1 / B)            b < B examples
    N      =  S / |G|^2                      the noise scale, in examples

Both estimates are unbiased if the examples of a batch are drawn independently. If they are drawn
without replacement from D examples, S is that of their sample covariance (divisor D - 1) and |G|^2
comes out too small by S / D. N is the ratio of the means of both over many updates, never the mean
of ratios.

An update with a batch of B makes the share 1 / (1 + N / B) of the progress that one with all
examples would make (their eq. 2.7 in the batch), so many more examples than N add little. N grows
while a network trains. For a whole run at batch B, the N that gives the mean share is
B (1 / mean share - 1): their average of N over the steps, weighted by the steps' progress.
"""

import math


def estimates(small, big, small_batch, big_batch):
    """Unbiased estimates of |G|^2 and S, from squared norms of gradients at two batch sizes.

    Args:
        small: mean of |G_b|^2 over the parts of a batch; number, array or tensor.
        big: |G_B|^2 of the whole batch, which is the mean of the parts' gradients.
        small_batch, big_batch: b and B, in examples, b < B. If the batch's gradient is a weighted
            mean of its m parts' gradients, with weights a_j that add up to 1 and n_j examples in
            part j, they are

                1 / b = sum_j a_j / n_j        1 / B = sum_j a_j^2 / n_j

            or n and m n for equal parts of n.

    Returns:
        |G|^2 and S, the latter in units of |G|^2 times examples. Single estimates may be negative.
    """
    square = (big_batch * big - small_batch * small) / (big_batch - small_batch)
    noise = (small - big) / (1 / small_batch - 1 / big_batch)
    return square, noise


def noise_scale(square, noise):
    """N, from means over updates of the estimates of |G|^2 and S: a float, in examples.

    Args:
        square, noise: floats.

    Returns:
        inf if |G|^2 is not positive (the gradient is lost in noise), otherwise 0 if S is not
        positive; NaN for NaN.
    """
    if math.isnan(square) or math.isnan(noise):
        return math.nan
    if square <= 0:
        return math.inf
    return max(noise, 0.0) / square


def update_share(batch, scale):
    """1 / (1 + N / B): the progress of an update with B examples, as a share of one with all.

    Args:
        batch: B.
        scale: N.
    """
    return 1 / (1 + scale / batch)


def scale_of_run(batch, share):
    """N of a whole run, from the mean over its updates of their `update_share`s.

    Args:
        batch: B, of the run.
        share: mean of 1 / (1 + N_t / B), in [0, 1].

    Returns:
        B (1 / share - 1), inf for a share of 0.
    """
    return batch * (1 / share - 1) if share > 0 else math.inf


def example_share(batch, scale):
    """1 / (1 + B / N): what an example does in a batch of B, as a share of that in a small batch.

    Args:
        batch: B.
        scale: N.
    """
    return 1.0 if math.isinf(scale) else scale / (scale + batch)


def worth(batch, count, scale):
    """The progress of an update at B, as a share of that of `count` updates at B / count.

        (1 / (1 + N / B)) / (count / (1 + N count / B))  =  (B / count + N) / (B + N)

    Args:
        batch: B.
        count: number of batches into which it might be cut.
        scale: N; inf for a gradient that is all noise.

    Returns:
        A float from 1 / count, if N is far below B / count, to 1, if N is far above B.
    """
    return 1.0 if math.isinf(scale) else (batch / count + scale) / (batch + scale)


_WORDS = {8: "eight", 4: "four", 2: "two"}


def sentence(batch, scale):
    """Says in words what a noise scale means for a batch size.

        >>> sentence(8192, 3412.0)
        'an update at 8,192 is worth 0.38 of eight at 1,024'

    Args:
        batch: B, examples of an update.
        scale: N, in examples; not NaN.
    """
    count = next((n for n in _WORDS if batch % n == 0), None)
    if count is None:
        share = update_share(batch, scale)
        return f"an update at {batch:,} does {share:.2f} of what one by all examples would"
    return (
        f"an update at {batch:,} is worth {worth(batch, count, scale):.2f} of {_WORDS[count]} at "
        f"{batch // count:,}"
    )


def in_words(scale):
    """A noise scale as text: "3,412", "0.52"; "beyond measure" if the gradient is all noise."""
    if math.isnan(scale):
        return "not measured"
    if math.isinf(scale):
        return "beyond measure"
    return f"{scale:,.0f}" if scale >= 10 else f"{scale:.2g}"

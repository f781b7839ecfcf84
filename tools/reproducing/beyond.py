"""Tables 6 and 7, which the paper has not: what it leaves open, and what does keep the accuracy."""

from tools.reproducing import tuning
from tools.reproducing.wanted import Row, Table

_RATES = (
    "Decay and peak of keras.optimizers.Lamb, AdamW, LARS and SGD are tuned as those of the other "
    "arms; all else is at the large batch's own."
)


def table6(datasets, tuned):
    """What the paper leaves open, one change each from adaptive decay at its own decay and peak.

    Args:
        datasets: names.
        tuned: from `tuning.tuned`.
    """
    rows = {}
    for dataset in datasets:
        if (dataset, tuning.ADAPTIVE) not in tuned:
            continue
        own = tuned[dataset, tuning.ADAPTIVE]
        base = tuning.SEARCHES[tuning.ADAPTIVE].arm.but(dataset=dataset, overrides=own)
        changes = {
            "layer_adaptation all": {"optimizer.layer_adaptation": "all"},
            "layer_adaptation decayed": {"optimizer.layer_adaptation": "decayed"},
            **{f"R = {r:g}": {"decay.threshold": r} for r in (0.01, 0.5, 1.0)},
            "lambda_beta 0.1": {"decay.beta": 0.1},
            "other biases not decayed": {"decay.bias": 0.0},
            "decided by a probe batch": {
                "decay.source": "probe",
                "decay.probe_every": 1,
                "decay.probe_examples": 512,
            },
        }
        rows[dataset] = [Row(tuning.ADAPTIVE, base)] + [
            Row(label, base.but(overrides=change), against=tuning.ADAPTIVE)
            for label, change in changes.items()
        ]
    return Table("Table 6: what the paper leaves open", rows)


def table7(datasets, tuned):
    """What keeps the accuracy at the same large batch and number of epochs.

    Args:
        datasets: names.
        tuned: from `tuning.tuned`.
    """
    rows = {}
    for dataset in datasets:
        if not all((dataset, name) in tuned for name in (tuning.SMALL, tuning.LARGE)):
            continue
        arms = {
            name: search.arm.but(dataset=dataset, overrides=tuned[dataset, name])
            for name, search in tuning.SEARCHES.items()
            if (dataset, name) in tuned
        }
        small, base = arms.pop(tuning.SMALL), arms.pop(tuning.LARGE)
        changes = {
            "SAM 0.05": {"sharpness_aware.kind": "sam", "sharpness_aware.rho": 0.05},
            "SAM 0.2": {"sharpness_aware.kind": "sam", "sharpness_aware.rho": 0.2},
            "ASAM 0.5": {"sharpness_aware.kind": "asam", "sharpness_aware.rho": 0.5},
            "ASAM 2": {"sharpness_aware.kind": "asam", "sharpness_aware.rho": 2.0},
            "average of the weights": {"ema.momentum": 0.98},
            "label smoothing 0.1": {"label_smoothing": 0.1},
            "warm-up 0.1": {"learning_rate.warmup": 0.1},
            "warm-up 0.5": {"learning_rate.warmup": 0.5},
            "ghost batches of 16": {"model.ghost_batch_size": 16},
            "ghost batches of 64": {"model.ghost_batch_size": 64},
            "whole-batch statistics": {"model.normalization": "batch"},
        }
        both = (tuning.LARGE, tuning.SMALL)
        decayed = base.but(overrides=tuning.with_decay_of_biases(tuned[dataset, tuning.LARGE]))
        heavier = 4 * tuned[dataset, tuning.LARGE][tuning.DECAY]
        rows[dataset] = [
            Row(tuning.SMALL, small),
            Row(tuning.LARGE, base, against=tuning.SMALL),
            Row(
                f"large batch, kernel decay {heavier:g}",
                base.but(overrides={tuning.DECAY: heavier}),
                against=both,
            ),
            Row(
                f"small batch, kernel decay {heavier:g}",
                small.but(overrides={tuning.DECAY: heavier}),
                against=tuning.SMALL,
            ),
            *(
                Row(f"{name}, all else as tuned without", decayed.but(variant=variant), None, both)
                for name, variant in ((tuning.BETA, "beta"), (tuning.ADAPTIVE, "adaptive"))
            ),
            Row(
                "beta decay and label smoothing 0.1",
                decayed.but(variant="beta", overrides={"label_smoothing": 0.1}),
                against=both,
            ),
            *(Row(name, arm, against=both) for name, arm in arms.items()),
            *(
                Row(label, base.but(overrides=change), against=both)
                for label, change in changes.items()
            ),
        ]
    return Table("Table 7: what keeps the accuracy of the small batch", rows, (_RATES,))

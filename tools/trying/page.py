"""Writes docs/models.md, which features work with which models, from docs/models.json."""

import json

from tf_bdecay.storage.files import write_json

WORKS, REFUSED, FAILS, UNTRIED = "works", "refused", "fails", "untried"
KERAS = "as Keras"  # it also fails with an optimizer of Keras
FEATURES = (
    "fit",
    "describe",
    "save and go on",
    "bfloat16",
    "mirrored",
    "micro-batches",
    "sharpness",
    "ghostify",
    "Resume",
)
MODELS = (
    "ResNet50V2",
    "EfficientNetV2B0",
    "MobileNetV3Small",
    "ConvNeXtTiny",
    "DenseNet121",
    "ViT",
    "GPT",
    "LSTM tagger",
    "U-Net",
    "siamese",
    "VAE",
    "GAN",
    "multi-output",
    "LoRA",
    "int8",
    "hub Bert",
    "hub GPT2",
    "hub Gemma",
    "hub Llama",
    "hub Qwen3",
)
_PAGE = """\
# Which features work with which models

`make test-models` (`tools/models.py`, `tools/trying/`) makes this page. The models are of many
kinds, untrained, and either small or for small pictures. They run on one CPU under TensorFlow,
without XLA. The first five are networks of `keras.applications`, each cut after the first blocks,
which include all its kinds of blocks; the last five are backbones of keras-hub, built from
configurations. Every model trains with `Lamb` and `AdaptiveBetaDecay`, or with `NoBiasDecay` where
no layer has a scale and a shift.

* fit: two epochs of stock `fit` have finite losses and change the weights; the number in brackets
  counts the pairs of a scale and a shift
* describe: `tf_bdecay.describe` has a line for each trainable variable
* save and go on: a model that is saved and loaded between two epochs ends with the weights of one
  that is not, to 1e-5
* bfloat16: the model trains under the `mixed_bfloat16` policy
* mirrored: after training on two replicas, their copies of the weights are equal to the bit
* micro-batches: `tf_bdecay.Trainer` trains the model with two micro-batches per update;
  "ghostified" means that `tf_bdecay.ghostify` converted it first
* sharpness: `tf_bdecay.sharpness.connectivity` measures the model
* ghostify: `tf_bdecay.ghostify` converts the model, and the copy trains
* Resume: a model that is stopped after an epoch and started again ends with the weights of one that
  is not, to the bit

A number alone refers to the sentence below with which the package refuses. "as Keras" means that
the same fails with `keras.optimizers.Adam` too, and its number refers to that error.

| model | {features} |
|---|{columns}
{rows}

{notes}
"""


def page(results):
    """The page.

    Args:
        results: dict of model to dict of feature to [word, sentence].
    """
    notes, rows = {}, []
    for name in MODELS:
        cells = []
        for feature in FEATURES:
            word, said = results.get(name, {}).get(feature, (UNTRIED, ""))
            if word == WORKS:
                cells.append(f"yes ({said})" if said else "yes")
            elif not said:
                cells.append(word)
            else:
                said = said.split(" Received: ")[0]  # drops names and addresses of one run
                number = notes.setdefault((word, said), len(notes) + 1)
                cells.append(f"{number}" if word == REFUSED else f"**{word}** {number}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return _PAGE.format(
        features=" | ".join(FEATURES),
        columns="---|" * len(FEATURES),
        rows="\n".join(rows),
        notes="\n".join(f"{n}. {said}" for (_, said), n in notes.items()),
    )


def keep(folder, name, feature, word, said):
    """Adds a result to models.json in a folder, and writes models.md from it."""
    path = folder / "models.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results.setdefault(name, {})[feature] = [word, said]
    write_json(path, results)
    (folder / "models.md").write_text(page(results))

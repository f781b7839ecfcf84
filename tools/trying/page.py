"""docs/models.md: which model does what, from docs/models.json."""

import json

WORKS, REFUSED, FAILS, UNTRIED = "works", "refused", "fails", "untried"
KERAS = "as Keras"  # it fails with an optimizer of Keras, too
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
# Which models do what

Made by `make test-models` (`tools/models.py`, `tools/trying/`): networks of many kinds, small or
for small pictures, untrained, on one CPU under TensorFlow; the first five are the first blocks of
`keras.applications`, every kind of block that is in them, the last five of keras-hub, built from
configurations. Each has `Lamb` with `AdaptiveBetaDecay`
(`NoBiasDecay` where nothing has a scale and a shift), and no XLA.

* fit: two epochs of stock `fit`, losses finite, weights moved; in brackets how many pairs of a
  scale and a shift were found
* describe: a line for each variable
* save and go on: saved and loaded between two epochs, as one that was not, to 1e-5
* bfloat16: `mixed_bfloat16`; mirrored: two replicas, copies equal to the bit
* micro-batches: `tf_bdecay.Trainer`, two an update
* sharpness: `tf_bdecay.sharpness.connectivity`
* ghostify: `tf_bdecay.ghostify`, trained
* Resume: stopped after an epoch and begun anew, as one that was not, to the bit

A number stands for the sentence, below, with which something is refused; "as Keras", for what fails
with `keras.optimizers.Adam` too, and how.

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
                said = said.split(" Received: ")[0]  # names and addresses of this one
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
    """Adds a result to models.json in a folder, and makes models.md of it."""
    path = folder / "models.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results.setdefault(name, {})[feature] = [word, said]
    path.write_text(json.dumps(results, indent=1) + "\n")
    (folder / "models.md").write_text(page(results))

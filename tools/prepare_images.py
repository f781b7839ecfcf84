"""Writes pictures from any layout as TFRecords, the layout that is read fastest.

    python tools/prepare_images.py --source=/data/imagenet --to=/data/imagenet_256 --shorter=256

The source is a folder of class folders, an archive, shards, or any other layout that
docs/pictures.md lists. To train on the result, set `--config.data.source=/data/imagenet_256`.
Pictures that some decoders cannot read are rewritten as plain ones. With --shorter, pictures whose
shorter side is longer are resized to it, as JPEGs of quality 95. An interrupted run continues when
it is started again with the same pictures. At the end, all shards are read again and verified
against their checksums.
Exit codes: 0 done, 2 input that cannot be used.
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from concurrent.futures import ThreadPoolExecutor, as_completed

from absl import flags
from rich import progress

from tf_bdecay.data.pictures import layouts, preparing
from tf_bdecay.errors import require
from tf_bdecay.storage.paths import local
from tools import commands

_SOURCE = flags.DEFINE_string("source", None, "Folder, archive or shards of the pictures.")
_TO = flags.DEFINE_string(
    "to", None, "Folder to write the shards to: a new one, or that of an interrupted run."
)
_SHORTER = flags.DEFINE_integer(
    "shorter", None, "Largest shorter side in pixels; by default pictures keep their size.", 1
)
_EACH = flags.DEFINE_integer("pictures", 1000, "Number of pictures in a shard.", lower_bound=1)
_JOBS = flags.DEFINE_integer(
    "jobs", None, "Shards to write at a time; by default one for each core.", lower_bound=1
)


def main(rest):
    """Prepares the pictures that the command line names."""
    require(not rest[1:], f"prepare_images.py takes flags only. Received: {' '.join(rest[1:])}")
    for flag in (_SOURCE, _TO):
        require(flag.value, f"Set --{flag.name}: {flags.FLAGS[flag.name].help}")
    source, to = (os.path.abspath(local(f"--{flag.name}", flag.value)) for flag in (_SOURCE, _TO))
    found = layouts.open_pictures(source)
    counts = {split: len(records) for split, records in found.splits.items()}
    print(f"{source}: {found.layout}; {', '.join(f'{n:,} {s}' for s, n in counts.items())}")
    settings = {
        "source": source,
        "shorter": _SHORTER.value,
        "pictures": _EACH.value,
        "splits": counts,
    }
    preparing.begin(to, settings, found)
    work = [
        (path, found.splits[split], indexes)
        for split, count in counts.items()
        for path, indexes in preparing.shards(to, split, count, _EACH.value)
    ]

    def write(path, records, indexes):
        preparing.write_shard(path, records, indexes, _SHORTER.value)

    def verify(path, records, indexes):
        preparing.verify(path, records.labels[indexes.start : indexes.stop])

    for words, step in (("writing", write), ("verifying", verify)):
        _each(words, step, work)
    print(f"{len(work):,} shards in {to}, read again and verified")
    return 0


def _each(words, step, work):
    """Calls a step for all shards, several at a time; the first error ends it."""
    with (
        ThreadPoolExecutor(_JOBS.value or os.cpu_count()) as pool,
        progress.Progress(disable=not sys.stderr.isatty()) as bar,
    ):
        futures = [pool.submit(step, *one) for one in work]
        try:
            for future in bar.track(as_completed(futures), len(futures), description=words):
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    commands.run("prepare_images.py", main)

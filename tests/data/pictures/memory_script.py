"""A program that streams an epoch of many pictures and prints its memory now and then.

python memory_script.py FOLDER BATCH
"""

import resource
import sys

from tf_bdecay import data
from tf_bdecay.data.pictures import loading


def resident():
    """Mebibytes that the process has in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main(folder, batch):
    images = loading.load(folder, 32, held_out=0.01)
    steps = len(images.train) // batch
    for step, (x, _) in enumerate(data.training_batches(images, batch, seed=0).take(steps)):
        assert x.shape == (batch, 32, 32, 3)
        if step % max(steps // 10, 1) == 0:
            print(f"{resident():.1f}", flush=True)
    print(f"{resident():.1f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

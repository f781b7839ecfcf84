"""Starts main.py as many worker processes on this machine: `python tools/launch.py --help`.

    python tools/launch.py --workers=2 -- --config.model.width=16 --config.epochs=2
    python tools/launch.py --workers=2 --restarts=3 -- --config=configs/cifar10_resnet18.py:adaptive

The same as `tf-bdecay launch`, which is in tf_bdecay/launching/.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tf_bdecay import commands

if __name__ == "__main__":
    train = [sys.executable, str(ROOT / "main.py")]
    sys.exit(commands.launch(sys.argv[1:], "launch.py", train))

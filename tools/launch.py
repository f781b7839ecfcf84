"""Starts several workers of main.py on this machine; see `python tools/launch.py --help`.

    python tools/launch.py --workers=2 -- --config.model.width=16 --config.epochs=2
    python tools/launch.py --workers=2 --restarts=3 -- --config=configs/cifar10_resnet18.py:adaptive

This is the same as `tf-bdecay launch`, whose code is in tf_bdecay/launching/.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tf_bdecay import commands

if __name__ == "__main__":
    train = [sys.executable, str(ROOT / "main.py")]
    sys.exit(commands.launch(sys.argv[1:], "launch.py", train))

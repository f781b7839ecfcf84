"""Runs networks of torchvision and timm with random weights, in an environment with PyTorch.

    python models_torch.py OUT.npz

For every network in `NETWORKS` this writes its weights and statistics as NAME|weights|KEY, random
images as NAME|images|SIDE, and their logits in inference mode as NAME|logits|SIDE and in training
mode as NAME|training|SIDE. Nothing is downloaded.
"""

import sys

import numpy as np
import timm
import torch
import torchvision

NETWORKS = {
    "resnet18": torchvision.models.resnet18,
    "resnet50": torchvision.models.resnet50,
    "resnet50_d": lambda: timm.create_model("resnet50d", pretrained=False),
}
SIDES = (224, 95)  # an odd side is padded differently
BATCH = 4


def shaken(model, seed):
    """The model with random values in its normalizations, whose initial values hide mistakes."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for value in (module.weight, module.running_var):
                    value.copy_(0.5 + torch.rand(value.shape, generator=draw))
                for value in (module.bias, module.running_mean):
                    value.copy_(0.2 * torch.randn(value.shape, generator=draw))
    return model


def main(out):
    """Runs the networks and writes the file."""
    found = {}
    for seed, (name, make) in enumerate(NETWORKS.items()):
        torch.manual_seed(seed)
        model = shaken(make(), seed)
        for key, value in model.state_dict().items():
            found[f"{name}|weights|{key}"] = value.numpy().copy()
        for side in SIDES:
            x = torch.randn(BATCH, 3, side, side)
            found[f"{name}|images|{side}"] = x.numpy().transpose(0, 2, 3, 1)
            with torch.no_grad():
                found[f"{name}|logits|{side}"] = model.eval()(x).numpy()
                # Training mode changes the moving statistics, which are restored.
                found[f"{name}|training|{side}"] = model.train()(x).numpy()
                model.load_state_dict(
                    {
                        key: torch.tensor(found[f"{name}|weights|{key}"])
                        for key in model.state_dict()
                    }
                )
    np.savez(out, **found)


if __name__ == "__main__":
    main(sys.argv[1])

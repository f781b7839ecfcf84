"""Runs timm's LAMB on the cases, in an environment that has timm.

    python lamb_timm.py OUT.npz

This writes the change of every parameter in every case, in float64 and float32.
"""

import sys

import lamb_cases
import torch
from timm.optim import Lamb


def changes(case, dtype):
    """The change of every parameter after all updates of a case."""
    parameters, gradients = lamb_cases.arrays()
    tensors = {k: torch.tensor(v.astype(dtype), requires_grad=True) for k, v in parameters.items()}
    without_decay, not_adapted = lamb_cases.excluded(case)
    left_out = [v for k, v in tensors.items() if k.endswith(without_decay or ("nothing at all",))]
    decayed = [v for v in tensors.values() if not any(v is other for other in left_out)]
    optimizer = Lamb(
        [
            {"params": decayed, "weight_decay": lamb_cases.weight(case)},
            *([{"params": left_out, "weight_decay": 0.0}] if left_out else []),
        ],
        lr=lamb_cases.RATE,
        eps=1e-6,
        max_grad_norm=None,
        always_adapt=not not_adapted,  # or variables without decay would not be adapted
    )
    for t in range(lamb_cases.UPDATES):
        for k, v in tensors.items():
            v.grad = torch.tensor(gradients[k][t].astype(dtype))
        optimizer.step()
    return {k: v.detach().numpy() - parameters[k] for k, v in tensors.items()}


if __name__ == "__main__":
    lamb_cases.write(sys.argv[1], changes)

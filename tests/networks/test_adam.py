"""The package's Adam against torch.optim.Adam, the class."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from mtl_nt.networks.adam import Adam, ParameterGroup

SHAPES = ((3, 4, 5), (3, 5), (3, 5, 2))


def drawn(*, seed: int, dtype: torch.dtype) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=source, dtype=dtype) for shape in SHAPES]


@pytest.mark.slow
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_torchs_to_the_last_bit(fused: bool, dtype: torch.dtype) -> None:
    ours, theirs = (drawn(seed=0, dtype=dtype) for _ in range(2))
    adam = Adam(
        [
            ParameterGroup(ours[:2], 0.01, 0.3),
            ParameterGroup([], 1.0),
            ParameterGroup(ours[2:], 0.1),
        ],
        fused,
    )
    settings = [
        {"params": theirs[:2], "lr": 0.01, "weight_decay": 0.3},
        {"params": theirs[2:], "lr": 0.1},
    ]
    reference = torch.optim.Adam(settings, fused=fused)
    for number in range(1, 8):
        factor = 1 / number
        gradients = drawn(seed=number, dtype=dtype)
        adam.zero_grad()
        reference.zero_grad()
        for group, rate in zip(reference.param_groups, (0.01, 0.1), strict=True):
            group["lr"] = rate * factor
        for k, (a, b, gradient) in enumerate(zip(ours, theirs, gradients, strict=True)):
            if (number, k) not in {(1, 0), (4, 2)}:  # these have none
                a.grad, b.grad = gradient.clone(), gradient.clone()
        adam.step(factor)
        reference.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(ours, drawn(seed=0, dtype=dtype), strict=True))


@pytest.mark.slow
def test_training_and_scoring_load_neither_torchs_compiler_nor_scikit_learn() -> None:
    script = (
        "import sys, mtl_nt\n"
        "methods = ['STL', 'MTL', 'GradNorm', 'RMTL', 'Uncertainty', 'U-AMTFL']\n"
        "study = mtl_nt.compare(mtl_nt.load('dial').for_seed, methods, seeds=2, steps=3)\n"
        "assert study.counts()['mean'].gt(0).all()\n"
        "heavy = {'torch._dynamo', 'sympy', 'sklearn'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

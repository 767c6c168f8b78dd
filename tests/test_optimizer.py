"""Adam in one call is torch's Adam."""

import pytest
import torch

from stnlab.kernels.adam import OneCallAdam

SIZES = ((5, 3), (7,), (2, 2, 2), ())


def parameters():
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(size)) for size in SIZES]


def groups(of):
    return [{"params": of[:2]}, {"params": of[2:], "lr": 0.1}]


@pytest.mark.parametrize(
    "settings", [{}, {"amsgrad": True, "weight_decay": 0.1}], ids=["plain", "amsgrad"]
)
def test_it_is_torchs_fused_adam_resumed_or_not(settings):
    """The last parameter gets its first gradient later, the second group has its own rate."""
    ours, theirs = parameters(), parameters()
    one = OneCallAdam(groups(ours), lr=0.01, **settings)
    other = torch.optim.Adam(groups(theirs), lr=0.01, fused=True, **settings)
    for step in range(12):
        for mine, its in zip(ours, theirs, strict=True):
            its.grad = torch.randn_like(its) if step > 3 or its.dim() else None
            mine.grad = None if its.grad is None else its.grad.clone()
        one.step(lambda: 0.0)
        other.step()
        if step == 7:
            state = one.state_dict()
            one = OneCallAdam(groups(ours), lr=0.5, **settings)
            one.load_state_dict(state)
    assert all(torch.equal(mine, its) for mine, its in zip(ours, theirs, strict=True))
    assert [float(state["step"]) for state in one.state.values()] == [12, 12, 12, 8]

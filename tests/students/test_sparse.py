import copy

import numpy as np
import pytest
import torch

from potstill.students.merged_norm import merge_norms
from potstill.students.sparse import digest_of_moved, train_alone


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_only_the_chosen_weights_learn(optimizer):
    torch.manual_seed(0)
    module = torch.nn.Sequential()
    module.add_module("stem", torch.nn.Conv2d(1, 4, 3, bias=False))
    module.add_module("stem_norm", torch.nn.BatchNorm2d(4))
    merge_norms(module)
    before = copy.deepcopy(module.state_dict())
    chosen = {"stem.weight": np.zeros((4, 1, 3, 3), bool), "stem.bias": np.array([True, False, False, False])}
    chosen["stem.weight"][2, 0, 1, 1] = True
    train_alone(module, chosen)
    made = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.0),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    }
    steps = made[optimizer](module.parameters())
    for _ in range(3):
        steps.zero_grad()
        (module(torch.rand(2, 1, 5, 5)) ** 2).sum().backward()
        steps.step()
    after = module.state_dict()
    found = {name: (before[name] != after[name]).numpy() for name in before}
    assert np.array_equal(found.pop("stem.weight"), chosen["stem.weight"])
    assert np.array_equal(found.pop("stem_norm.bias"), chosen["stem.bias"])
    assert not any(moved.any() for moved in found.values())


def test_a_choice_has_a_digest_of_its_own():
    one = {"a": np.array([True, False]), "b": np.array([[True]])}
    other = {**one, "a": np.array([False, True])}
    assert digest_of_moved(one) == digest_of_moved(dict(reversed(one.items()))) != digest_of_moved(other)

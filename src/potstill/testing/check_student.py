"""The contract of a student builder, for built-in ones and yours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from potstill.files import canonical_json
from potstill.students.base import Student, StudentBuilder, StudentContext, as_tensors
from potstill.types import Input


def check_student(builder: StudentBuilder, context: StudentContext) -> None:
    """Checks what every builder owes its callers.

    Its configuration is JSON; the same context and seed build the same student; training one leaves the next alone;
    logits are finite, of the schema's width, and those of a row don't depend on its company; gradient reaches every
    parameter.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    canonical_json(builder.config())
    first = builder.build(context, dropout=0.0)
    start = _weights(first)
    inputs = list(context.transfer_inputs[:8])
    logits_NC = first.logits(inputs)
    assert logits_NC.shape == (len(inputs), context.schema.num_logits), f"logits of shape {logits_NC.shape}"
    assert np.isfinite(logits_NC).all(), "a logit is not finite"
    for i, value in enumerate(inputs):
        alone = first.logits([value])[0]
        assert np.allclose(alone, logits_NC[i], atol=1e-4), "the logits of a row depend on the batch that it stands in"
    _check_gradient(first, inputs)
    with torch.no_grad():
        for parameter in first.module.parameters():
            parameter.add_(1.0)
    assert torch.equal(_weights(builder.build(context, dropout=0.0)), start), "building twice gives two students"


def _check_gradient(student: Student, inputs: Sequence[Input]) -> None:
    batch = student.preprocessor.batch(student.preprocessor.encode(inputs))
    student.module.train()
    output = student.module(**as_tensors(batch))
    output.logits.square().sum().backward()
    silent = [n for n, p in student.module.named_parameters() if p.grad is None]
    assert not silent, f"no gradient reaches {', '.join(silent)}"
    student.module.zero_grad()


def _weights(student: Student) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in student.module.parameters()])

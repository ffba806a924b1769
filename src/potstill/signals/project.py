"""What a teacher's answer means for a service that keeps only some of its classes. N rows, C logits."""

from __future__ import annotations

import numpy as np

from potstill.types import FloatArray, IntArray, LabelSchema

# Without "other", a row whose mass lies mostly on classes that aren't kept says nothing about those that are.
LEAST_MASS = 0.5


def project(logits_NC: FloatArray, schema: LabelSchema, service: LabelSchema) -> tuple[FloatArray, IntArray]:
    """Logits over the service's classes, and which rows mean something there (bool, N).

    `other` gets the mass of all classes that aren't kept: its logit is their log-sum-exp.
    """
    if schema == service:
        return logits_NC, np.ones(len(logits_NC), bool)
    classes, kept = schema.fields[0].classes, service.fields[0].classes
    positions = [classes.index(name) for name in kept if name in classes]
    rest = np.setdiff1d(np.arange(len(classes)), positions)
    highest = logits_NC.max(1, keepdims=True)
    logprobs_NC = logits_NC - highest - np.log(np.exp(logits_NC - highest).sum(1, keepdims=True))
    if service.sums_rest_of(schema):
        mass_N = np.exp(logprobs_NC[:, rest]).sum(1)
        other_N1 = np.log(np.maximum(mass_N, 1e-9))[:, None]
        return np.concatenate([logprobs_NC[:, positions], other_N1], axis=1).astype(np.float32), np.ones(
            len(logits_NC), bool
        )
    kept_mass_N = np.exp(logprobs_NC[:, positions]).sum(1)
    return logprobs_NC[:, positions].astype(np.float32), kept_mass_N >= LEAST_MASS

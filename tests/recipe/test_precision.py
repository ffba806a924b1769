from potstill.recipe.precision import choose
from potstill.report.content import PrecisionFact


def fact(precision, size_bytes, latency_ms, *, passed=True):
    return PrecisionFact(
        precision=precision,
        size_bytes=size_bytes,
        latency_ms=latency_ms,
        agreement=1.0,
        accuracy_change=0.0,
        mean_kl=0.0,
        passed=passed,
        chosen=False,
    )


def test_noise_does_not_choose():
    facts = [fact("fp32", 2000, 0.06), fact("int8_weights", 550, 0.062), fact("int8", 560, 0.055)]
    assert choose(facts) == "int8_weights"


def test_a_clearly_faster_one_of_about_the_size_is_taken():
    facts = [fact("fp32", 46_000, 4.4), fact("int8_weights", 11_900, 4.4), fact("int8", 12_000, 1.9)]
    assert choose(facts) == "int8"


def test_what_loses_something_is_left_out():
    facts = [
        fact("fp32", 2000, 0.06),
        fact("int8_weights", 550, 0.06, passed=False),
        fact("int8", 560, 0.01, passed=False),
    ]
    assert choose(facts) == "fp32"

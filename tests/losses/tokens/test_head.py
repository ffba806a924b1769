import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.errors import ConfigurationError
from potstill.losses import tokens
from potstill.losses.tokens import HeadTarget, SparseTarget, TokenTerm, answer_positions, head_loss

N, V, D = 7, 23, 5
LOSSES = [
    tokens.ForwardKL(),
    tokens.ReverseKL(),
    tokens.JensenShannon(),
    tokens.JensenShannon(beta=0.1),
    tokens.SkewedKL(),
    tokens.SkewedKL(reverse=True),
    tokens.UniversalLogit(),
]
WARM = [
    tokens.ForwardKL(temperature=2.5),
    tokens.ReverseKL(temperature=0.7),
    tokens.JensenShannon(temperature=2.0),
    tokens.SkewedKL(temperature=2.0),
    tokens.UniversalLogit(temperature=3.0),
]


def name(loss):
    return f"{loss.kind}-{getattr(loss, 'beta', '')}{getattr(loss, 'reverse', '')}{loss.temperature}"


def inputs(seed, dtype=torch.float32, vocabulary=V, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(N, D, generator=generator) * scale
    head = torch.randn(vocabulary, D, generator=generator)
    return hidden.to(dtype).requires_grad_(True), head.to(dtype).requires_grad_(True)


def reference(loss, student_log, teacher_log):
    """The papers' formulas over full distributions in float64; shape N."""
    q, p = student_log.exp(), teacher_log.exp()
    if loss.kind == "forward_kl":
        return (p * (teacher_log - student_log)).sum(-1)
    if loss.kind == "reverse_kl":
        return (q * (student_log - teacher_log)).sum(-1)
    if loss.kind == "jensen_shannon":
        m = loss.beta * p + (1 - loss.beta) * q
        first, second = (p * (teacher_log - m.log())).sum(-1), (q * (student_log - m.log())).sum(-1)
        return loss.beta * first + (1 - loss.beta) * second
    if loss.kind == "skewed_kl":
        a, b = (q, p) if loss.reverse else (p, q)
        return (a * (a / (loss.skew * a + (1 - loss.skew) * b)).log()).sum(-1)
    size = max(p.shape[-1], q.shape[-1])
    p, q = (F.pad(x.sort(-1, descending=True).values, (0, size - x.shape[-1])) for x in (p, q))
    return (p - q).abs().sum(-1)


def dense_reference(loss, hidden, head, teacher_logits):
    hidden, head = (x.detach().double().requires_grad_(True) for x in (hidden, head))
    student_log = torch.log_softmax(hidden @ head.T / loss.temperature, -1)
    teacher_log = torch.log_softmax(teacher_logits.detach().double() / loss.temperature, -1)
    value = reference(loss, student_log, teacher_log) * loss.temperature**2
    value.sum().backward()
    return value.sum(), hidden.grad, head.grad


def check(found, hidden, head, expected):
    found.total.backward()
    value, hidden_grad, head_grad = expected
    torch.testing.assert_close(found.total.double(), value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(hidden.grad.double(), hidden_grad, rtol=1e-3, atol=2e-5)
    torch.testing.assert_close(head.grad.double(), head_grad, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("loss", [*LOSSES, *WARM], ids=name)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), group=st.integers(1, 9))
def test_full_distributions_match_the_dense_float64_reference(loss, seed, group):
    hidden, head = inputs(seed)
    teacher_hidden, teacher_head = inputs(seed + 1)
    found = head_loss(
        hidden,
        head,
        [TokenTerm(name="x", loss=loss, target=HeadTarget(hidden=teacher_hidden, head=teacher_head))],
        group=group,
    )
    check(found, hidden, head, dense_reference(loss, hidden, head, teacher_hidden @ teacher_head.T))


def top_k(logits, k):
    logs = torch.log_softmax(logits.double(), -1)
    kept, indices = logs.topk(k, -1)
    rest = logs.scatter(1, indices, float("-inf")).logsumexp(-1)
    return SparseTarget(indices=indices, logprobs=kept.float(), tail=rest.float())


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_all_tokens_kept_are_the_full_distribution(loss):
    hidden, head = inputs(3)
    teacher = torch.randn(N, V, generator=torch.Generator().manual_seed(5)) * 2
    found = head_loss(hidden, head, [TokenTerm(name="x", loss=loss, target=top_k(teacher, V))], group=3)
    check(found, hidden, head, dense_reference(loss, hidden, head, teacher))


@pytest.mark.parametrize("loss", LOSSES, ids=name)
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), k=st.integers(1, V - 1))
def test_the_tail_is_one_bucket(loss, seed, k):
    hidden, head = inputs(seed)
    teacher = torch.randn(N, V, generator=torch.Generator().manual_seed(seed)) * 2
    target = top_k(teacher, k)
    double_hidden, double_head = (x.detach().double().requires_grad_(True) for x in (hidden, head))
    student_log = torch.log_softmax(double_hidden @ double_head.T, -1)
    indices = student_log.topk(k, -1).indices if loss.by_rank else target.indices
    rest = student_log.scatter(1, indices, float("-inf")).logsumexp(-1, keepdim=True)
    buckets = torch.cat([student_log.gather(1, indices), rest], -1)
    teacher_log = torch.cat([target.logprobs, target.tail[:, None]], -1).double()
    # By rank, the bucket of the rest isn't sorted among the others.
    apart = (buckets.exp() - teacher_log.exp()).abs().sum(-1)
    value = apart if loss.by_rank else reference(loss, buckets, teacher_log)
    value.sum().backward()
    found = head_loss(hidden, head, [TokenTerm(name="x", loss=loss, target=target)], group=4)
    check(found, hidden, head, (value.sum(), double_hidden.grad, double_head.grad))


def test_labels_give_cross_entropy_with_weights():
    hidden, head = inputs(0)
    labels, weights = torch.arange(N) % V, torch.linspace(0, 2, N)
    term = TokenTerm(name="x", loss=tokens.CrossEntropy(), target=SparseTarget.of_labels(labels), weight=0.5)
    found = head_loss(hidden, head, [term], weights_N=weights, group=2)
    double_hidden, double_head = (x.detach().double().requires_grad_(True) for x in (hidden, head))
    losses = F.cross_entropy(double_hidden @ double_head.T, labels, reduction="none") * weights
    (0.5 * losses.sum()).backward()
    check(found, hidden, head, (0.5 * losses.sum(), double_hidden.grad, double_head.grad))
    torch.testing.assert_close(found.values[0].double(), losses.sum(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", [*LOSSES, *WARM], ids=name)
def test_a_student_that_is_the_teacher_costs_nothing(loss):
    hidden, head = inputs(1)
    target = HeadTarget(hidden=hidden.detach(), head=head.detach())
    found = head_loss(hidden, head, [TokenTerm(name="x", loss=loss, target=target)])
    found.total.backward()
    assert abs(found.total.item()) < 1e-4
    if not loss.by_rank:  # |0| has no slope of its own
        assert float(hidden.grad.abs().max()) < 1e-4 and float(head.grad.abs().max()) < 1e-4


def test_every_term_reaches_the_student_and_the_sum_is_theirs():
    teacher_hidden, teacher_head = inputs(9)
    labels = torch.arange(N)
    terms = [TokenTerm(name="ce", loss=tokens.CrossEntropy(), target=SparseTarget.of_labels(labels), weight=0.3)]
    terms += [
        TokenTerm(name=name(loss), loss=loss, target=top_k(teacher_hidden @ teacher_head.T, 4), weight=0.7)
        for loss in LOSSES
    ]
    terms += [
        TokenTerm(name=name(loss), loss=loss, target=HeadTarget(hidden=teacher_hidden, head=teacher_head), weight=0.2)
        for loss in LOSSES + WARM
    ]
    summed_hidden, summed_head = torch.zeros(N, D), torch.zeros(V, D)
    total, values = 0.0, []
    for term in terms:
        hidden, head = inputs(2)
        found = head_loss(hidden, head, [term], group=3)
        found.total.backward()
        assert bool((hidden.grad.abs().sum(-1) > 0).all()), f"{term.name} teaches nothing"
        summed_hidden, summed_head = summed_hidden + hidden.grad, summed_head + head.grad
        total, values = total + float(found.total.detach()), [*values, float(found.values[0])]
    hidden, head = inputs(2)
    found = head_loss(hidden, head, terms, group=3)
    found.total.backward()
    torch.testing.assert_close(hidden.grad, summed_hidden, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(head.grad, summed_head, rtol=1e-4, atol=1e-4)
    assert float(found.total.detach()) == pytest.approx(total, rel=1e-4)
    assert found.values.tolist() == pytest.approx(values, rel=1e-4)


def test_padding_of_the_teachers_vocabulary_changes_nothing():
    hidden, head = inputs(0)
    teacher_hidden, teacher_head = inputs(1)
    padded = torch.cat([teacher_head.detach(), torch.randn(9, D)])
    results = []
    for target in (
        HeadTarget(hidden=teacher_hidden, head=teacher_head),
        HeadTarget(hidden=teacher_hidden, head=padded, num_tokens=V),
    ):
        student_hidden, student_head = inputs(0)
        found = head_loss(student_hidden, student_head, [TokenTerm(name="x", loss=tokens.ForwardKL(), target=target)])
        found.total.backward()
        results.append((found.total.detach(), student_hidden.grad, student_head.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
    target = HeadTarget(hidden=teacher_hidden, head=padded)
    with pytest.raises(ConfigurationError, match="num_tokens"):
        head_loss(hidden, head, [TokenTerm(name="x", loss=tokens.ForwardKL(), target=target)])


@pytest.mark.parametrize("loss", LOSSES[:-1], ids=name)
def test_padding_of_the_students_vocabulary_is_pushed_down(loss):
    head = torch.randn(V + 3, N, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    teacher_hidden, teacher_head = inputs(1)
    target = HeadTarget(hidden=teacher_hidden, head=teacher_head)
    # With these states the gradient of the head is that of the logits.
    found = head_loss(torch.eye(N), head, [TokenTerm(name="x", loss=loss, target=target)])
    found.total.backward()
    assert torch.isfinite(found.total) and bool((head.grad[V:] > 0).all())


def test_another_vocabulary_moves_what_it_lacks_to_the_tail():
    teacher = torch.randn(N, V, generator=torch.Generator().manual_seed(0)) * 2
    kept = torch.arange(0, V, 2)
    new_ids = torch.full((V,), -1)
    new_ids[kept] = torch.arange(len(kept))
    target = top_k(teacher, 6).renumber(new_ids)
    p = torch.softmax(teacher, -1)
    for row in range(N):
        held = target.indices[row] >= 0
        named = p[row, kept[target.indices[row][held]]]
        torch.testing.assert_close(target.logprobs[row][held].exp(), named)
        torch.testing.assert_close(target.tail[row].exp(), 1 - named.sum(), rtol=1e-4, atol=1e-5)
    hidden, head = inputs(4, vocabulary=len(kept))
    for loss in LOSSES:
        found = head_loss(hidden, head, [TokenTerm(name="x", loss=loss, target=target)])
        assert torch.isfinite(found.total)
    with pytest.raises(ConfigurationError, match="another tokenizer"):
        top_k(teacher, 6).renumber(new_ids[:3])


def test_a_position_whose_tokens_all_left_still_counts_the_rest():
    hidden, head = inputs(4)
    empty = SparseTarget(indices=torch.full((N, 2), -1), logprobs=torch.zeros(N, 2), tail=torch.zeros(N))
    found = head_loss(hidden, head, [TokenTerm(name="x", loss=tokens.ForwardKL(), target=empty)])
    found.total.backward()
    assert abs(found.total.item()) < 1e-5 and float(hidden.grad.abs().max()) < 1e-5


def test_sampled_shares_give_the_full_gradient_on_average():
    hidden, head = inputs(6)
    teacher_hidden, teacher_head = inputs(7)
    full = TokenTerm(name="x", loss=tokens.ForwardKL(), target=HeadTarget(hidden=teacher_hidden, head=teacher_head))
    head_loss(hidden, head, [full]).total.backward()
    p = torch.softmax((teacher_hidden @ teacher_head.T).detach(), -1)
    drawn = torch.multinomial(p, 40_000, replacement=True, generator=torch.Generator().manual_seed(0))
    shares = torch.stack([torch.bincount(row, minlength=V) for row in drawn]) / drawn.shape[1]
    indices = torch.where(shares > 0, torch.arange(V), -1)
    sampled = SparseTarget(indices=indices, logprobs=shares.clamp(min=1e-30).log(), tail=None, sampled=True)
    other_hidden, other_head = inputs(6)
    term = TokenTerm(name="x", loss=tokens.ForwardKL(), target=sampled)
    head_loss(other_hidden, other_head, [term]).total.backward()
    torch.testing.assert_close(other_hidden.grad, hidden.grad, rtol=0, atol=0.05)
    with pytest.raises(ConfigurationError, match="biased on sampled"):
        head_loss(hidden, head, [TokenTerm(name="x", loss=tokens.ReverseKL(), target=sampled)])


def test_bf16_stays_near_fp32_and_finite():
    hidden, head = inputs(0)
    target = top_k(torch.randn(N, V) * 3, 5)
    term = TokenTerm(name="x", loss=tokens.ForwardKL(), target=target)
    plain = head_loss(hidden, head, [term]).total
    with torch.autocast("cpu", torch.bfloat16):
        half = head_loss(hidden, head, [term]).total
    half.backward()
    assert hidden.grad.dtype == head.grad.dtype == torch.float32
    assert half.item() == pytest.approx(plain.item(), rel=0.05)


def test_gradients_are_scaled_and_used_once_and_not_made_without_need():
    hidden, head = inputs(0)
    term = TokenTerm(name="x", loss=tokens.CrossEntropy(), target=SparseTarget.of_labels(torch.arange(N)))
    total = head_loss(hidden, head, [term]).total
    (total / 4).backward(retain_graph=True)
    other_hidden, other_head = inputs(0)
    head_loss(other_hidden, other_head, [term]).total.backward()
    torch.testing.assert_close(hidden.grad * 4, other_hidden.grad)
    torch.testing.assert_close(head.grad * 4, other_head.grad)
    with pytest.raises(RuntimeError, match="call backward once"):
        total.backward()
    with torch.no_grad():
        assert head_loss(hidden, head, [term]).total.item() == pytest.approx(float(total.detach()))
    frozen = head_loss(hidden, head.detach(), [term]).total
    hidden.grad = None
    frozen.backward()
    torch.testing.assert_close(hidden.grad, other_hidden.grad)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TokenTerm(name="x", loss=tokens.CrossEntropy(), target=None, weight=0), "leave a term out"),
        (lambda: tokens.ForwardKL(temperature=0), "above 0"),
        (lambda: tokens.JensenShannon(beta=1.0), "between 0 and 1"),
        (lambda: tokens.SkewedKL(skew=0.0), "between 0 and 1"),
        (lambda: tokens.UniversalLogit(top_k=0), "at least one rank"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize(
    ("loss", "target", "message"),
    [
        (tokens.ForwardKL(temperature=2.0), top_k(torch.randn(N, V), 3), "says nothing of other temperatures"),
        (tokens.ForwardKL(), top_k(torch.randn(N - 1, V), 3), "7 positions and a target of 6"),
        (tokens.CrossEntropy(), SparseTarget.of_labels(torch.full((N,), V)), "renumber it"),
    ],
)
def test_targets_that_do_not_fit_are_refused(loss, target, message):
    hidden, head = inputs(0)
    with pytest.raises(ConfigurationError, match=message):
        head_loss(hidden, head, [TokenTerm(name="x", loss=loss, target=target)])


def test_labels_are_shifted_once():
    ids = torch.tensor([[5, 6, 7, 8], [1, 2, 3, 0]])
    is_answer = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]]).bool()
    places, labels = answer_positions(ids, is_answer)
    assert places.tolist() == [1, 2, 4, 5] and labels.tolist() == [7, 8, 2, 3]
    with pytest.raises(ConfigurationError, match="no answer token"):
        answer_positions(ids, torch.zeros(2, 4))


def test_the_fused_loss_is_that_of_hugging_face():
    from tests.lm import TEXTS, tiny_model, tiny_tokenizer

    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    batch = tokenizer(TEXTS[:3], padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    model(**batch, labels=labels).loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    places, tokens_N = answer_positions(batch["input_ids"], batch["attention_mask"])
    hidden = model.model(**batch).last_hidden_state.flatten(0, 1)[places]
    term = TokenTerm(name="x", loss=tokens.CrossEntropy(), target=SparseTarget.of_labels(tokens_N))
    (head_loss(hidden, model.lm_head.weight, [term]).total / len(places)).backward()
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[key], rtol=1e-4, atol=1e-6)

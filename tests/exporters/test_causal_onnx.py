import numpy as np
import onnx
import pytest
import torch

from potstill.errors import BundleError, ConfigurationError
from potstill.exporters import causal_onnx
from potstill.exporters.causal_onnx import causal_to_onnx, compare_next
from potstill.runtime.generating import OnnxDecoder
from potstill.runtime.onnx_guard import check_onnx
from potstill.students.causal.decode import write
from tests.lm import TEXTS, tiny_model, tiny_tokenizer

transformers = pytest.importorskip("transformers")

SIZES = dict(  # noqa: C408
    vocab_size=90,
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
)


def others(kind):
    """Models whose attention has biases, norms of its own, or one query head a group."""
    torch.manual_seed(0)
    if kind == "qwen2":
        return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**SIZES)).eval()
    if kind == "qwen3":
        return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**SIZES, head_dim=8)).eval()
    scaling = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 2.0, "low_freq_factor": 1.0}
    scaling |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 32}
    config = transformers.LlamaConfig(**{**SIZES, "num_key_value_heads": 4}, rope_parameters=scaling)
    return transformers.LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def model():
    return tiny_model(tiny_tokenizer(), layers=2)


@pytest.fixture(scope="module")
def files(model):
    return {cache: causal_to_onnx(model, with_cache=cache) for cache in (False, True)}


def session_of(content):
    import onnxruntime

    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def test_names_and_axes_are_the_usual_ones(files):
    graph = onnx.load_from_string(files[True]).graph
    onnx.checker.check_model(files[True])
    check_onnx(files[True])

    def axes(values):
        return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    given, got = axes(graph.input), axes(graph.output)
    assert list(given)[:4] == ["input_ids", "attention_mask", "position_ids", "past_key_values.0.key"]
    assert given["past_key_values.1.value"] == ["batch", 2, "past", 8] and given["attention_mask"] == ["batch", "total"]
    assert list(got)[:3] == ["logits", "present.0.key", "present.0.value"] and len(got) == 5
    assert got["present.1.key"] == ["batch", 2, "total", 8] and got["logits"][:2] == ["batch", "length"]
    plain = onnx.load_from_string(files[False]).graph
    assert [v.name for v in plain.input] == ["input_ids", "attention_mask", "position_ids"]
    assert [v.name for v in plain.output] == ["logits"]


def test_weights_stand_in_the_file_once(files, model):
    size = sum(parameter.numel() * 4 for parameter in model.parameters())
    for content in files.values():
        kept = onnx.load_from_string(content).graph.initializer
        assert sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in kept) < 1.02 * size


@pytest.mark.parametrize("cache", [False, True])
def test_padded_batches_give_the_models_logits(files, model, cache):
    ids = torch.randint(3, 90, (3, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, :2] = mask[2, :5] = 0
    places = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        wanted = model(input_ids=ids, attention_mask=mask, position_ids=places).logits.numpy()
    given = {"input_ids": ids, "attention_mask": mask, "position_ids": places}
    given = {name: value.numpy() for name, value in given.items()}
    session = session_of(files[cache])
    for value in session.get_inputs()[3:]:
        given[value.name] = np.zeros((3, value.shape[1], 0, value.shape[3]), np.float32)
    found = session.run(["logits"], given)[0]
    for b in range(3):
        held = mask[b].numpy() > 0
        np.testing.assert_allclose(found[b, held], wanted[b, held], atol=1e-5)


def test_greedy_answers_are_the_same_with_the_cache_without_it_and_in_torch(files, model):
    tokenizer = tiny_tokenizer()
    prompts = [tokenizer.encode(text) for text in TEXTS]
    expected = {i: written.ids.tolist() for i, written in write(model, prompts, end=2, max_new_tokens=12)}
    decoder, plain = OnnxDecoder(files[True]), OnnxDecoder(files[False])
    assert decoder.has_cache and not plain.has_cache
    for i, ids in enumerate(prompts):
        found = decoder.write(ids, end=2, max_new_tokens=12)
        assert found == expected[i] == plain.write(ids, end=2, max_new_tokens=12)
        assert found == decoder.write(ids, end=2, max_new_tokens=12, uses_cache=False)
    assert len(set(map(tuple, expected.values()))) > 1
    parity, largest = compare_next(decoder, model, prompts)
    assert parity.top_1 == parity.top_5 == 1 and parity.difference < 1e-4 * max(1, largest) and parity.kl < 1e-8


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "llama3"])
def test_other_architectures(kind):
    model = others(kind)
    decoder = OnnxDecoder(causal_to_onnx(model, with_cache=True))
    ids = [5, 9, 33, 71, 8, 60, 4]
    parity, _ = compare_next(decoder, model, [ids, ids[:1]])
    assert parity.difference < 1e-5
    _, cache = decoder.step(ids[:4])
    with torch.no_grad():
        wanted = model(input_ids=torch.tensor([ids])).logits[0, -1].numpy()
    np.testing.assert_allclose(decoder.step(ids[4:], cache)[0], wanted, atol=1e-5)


def test_unknown_models_are_refused(model, monkeypatch):
    gpt = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(ConfigurationError, match="gpt2"):
        causal_to_onnx(gpt, with_cache=True)
    sliding = transformers.MistralForCausalLM(transformers.MistralConfig(**SIZES, sliding_window=8))
    with pytest.raises(ConfigurationError, match="sliding"):
        causal_to_onnx(sliding, with_cache=True)
    monkeypatch.setattr(causal_onnx, "MOST_PARAMETERS", 10)
    with pytest.raises(ConfigurationError, match="one ONNX file"):
        causal_to_onnx(model, with_cache=False)
    with pytest.raises(BundleError, match="onnxruntime"):
        OnnxDecoder(b"nothing")

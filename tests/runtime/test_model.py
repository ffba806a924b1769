import subprocess
import sys

import numpy as np
import pytest

from potstill.errors import BundleError, DataError
from potstill.runtime import load
from potstill.runtime.bundle import pack
from potstill.types import Field, LabelSchema
from tests.runtime.bundles import make_bundle, network


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


def test_predictions_are_calibrated_and_refuse_what_is_out_of_scope(bundle):
    red, unknown, korean = load(bundle).predict(["red", "something", "빨강"])
    assert red.label == "red"
    assert red.probability == pytest.approx(1 / (1 + np.exp(-2.0)), abs=1e-6)
    assert red.in_scope and not unknown.in_scope
    assert korean.label == "red"
    assert red.to_json()["probabilities"] == red.probabilities


def test_decomposed_hangul_is_read_like_composed(bundle):
    import unicodedata

    model = load(bundle)
    decomposed = unicodedata.normalize("NFD", "빨강")
    assert decomposed != "빨강"
    assert np.array_equal(model.logits([decomposed]), model.logits(["빨강"]))


def test_the_zip_predicts_what_the_folder_predicts(bundle, tmp_path):
    pack(bundle, tmp_path / "bundle.zip")
    first = (tmp_path / "bundle.zip").read_bytes()
    pack(bundle, tmp_path / "bundle.zip")
    assert (tmp_path / "bundle.zip").read_bytes() == first
    texts = ["red blue", "blue"] * 50
    zipped = load(tmp_path / "bundle.zip")
    assert np.array_equal(zipped.logits(texts), load(bundle).logits(texts))
    assert zipped.digest == load(bundle).digest


def test_no_inputs_and_wrong_inputs(bundle):
    model = load(bundle)
    assert model.predict([]) == []
    assert model.logits([]).shape == (0, 2)
    with pytest.raises(DataError, match="takes a list"):
        model.predict("red")
    with pytest.raises(DataError, match="input 1 is of type int"):
        model.predict(["red", 3])


def test_long_inputs_are_cut(bundle):
    assert np.array_equal(load(bundle).logits(["red " * 100]), load(bundle).logits(["red " * 8]))


def test_self_test_notices_a_machine_that_computes_something_else(tmp_path):
    load(make_bundle(tmp_path / "good")).self_test()
    wrong = make_bundle(tmp_path / "wrong", probes=[{"input": "red", "logits": [0.0, 5.0]}])
    with pytest.raises(BundleError, match="differ by 1"):
        load(wrong).self_test()


def test_several_fields_give_a_dict_and_multi_label_a_list(tmp_path):
    fields = (Field(name="mood", classes=("good",), multi=True), Field(name="tags", classes=("red",), multi=True))
    bundle = make_bundle(tmp_path / "b", schema=LabelSchema(fields), temperatures=[1.0, 1.0], probes=[], threshold=None)
    (prediction,) = load(bundle).predict(["red"])
    assert prediction.label == {"mood": [], "tags": ["red"]}
    assert prediction.in_scope is None


def test_embeddings_have_length_one_and_old_bundles_have_none(bundle, tmp_path):
    model = load(make_bundle(tmp_path / "new", model=network(embeds=True), embedding_size=2))
    found = model.embed(["red red", "blue", "red blue", "unknown"])
    np.testing.assert_allclose(found, [[0, 1], [1, 0], [0.5**0.5, 0.5**0.5], [0, 0]], atol=1e-6)
    assert model.embed([]).shape == (0, 2)
    with pytest.raises(DataError, match="gives no embeddings"):
        load(bundle).embed(["red"])


@pytest.mark.parametrize(
    ("embeds", "size", "message"), [(False, 2, "no output 'text_embedding'"), (True, 3, "3 values")]
)
def test_a_promised_embedding_is_there(tmp_path, embeds, size, message):
    with pytest.raises(BundleError, match=message):
        load(make_bundle(tmp_path / "b", model=network(embeds=embeds), embedding_size=size))


def test_import_loads_no_torch():
    program = "import sys, potstill.runtime; sys.exit('torch' in sys.modules or 'potstill.students' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

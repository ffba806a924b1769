import asyncio

import pytest

from potstill.errors import ConfigurationError
from potstill.server.graders.embedder import open_embedder
from tests.runtime.bundles import make_bundle, network
from tests.server.running import running

LIKE = {
    "type": "text_similarity",
    "name": "like",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.label }}",
    "evaluation_metric": "cosine",
}


def test_texts_in_vectors_out_and_an_empty_one_is_nothing(tmp_path):
    make_bundle(tmp_path / "new", model=network(embeds=True), embedding_size=2)
    vectors = asyncio.run(open_embedder(tmp_path / "new")(["red", " ", "blue"]))
    assert vectors == [pytest.approx([0, 1]), [0.0, 0.0], pytest.approx([1, 0])]
    assert asyncio.run(open_embedder(tmp_path / "new")([""])) == [[0.0, 0.0]]


def test_a_bundle_without_embeddings_is_refused_at_start(tmp_path):
    make_bundle(tmp_path / "old")
    with pytest.raises(ConfigurationError, match=r"--embeddings .* gives no embeddings"):
        open_embedder(tmp_path / "old")


def test_a_criterion_compares_by_the_student_that_the_administrator_names(tmp_path):
    make_bundle(tmp_path / "new", model=network(embeds=True), embedding_size=2)
    with running(tmp_path / "data", embeddings=tmp_path / "new") as server:
        graders = server.client().fine_tuning.alpha.graders
        assert graders.run(grader=LIKE, model_sample="red red", item={"label": "red"}).reward == pytest.approx(1)
        assert graders.run(grader=LIKE, model_sample="blue", item={"label": "red"}).reward == pytest.approx(0)

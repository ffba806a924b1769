import numpy as np
import pytest

from potstill.errors import DataError, TeacherUnavailableError
from potstill.teachers import HuggingFace
from potstill.teachers.foreign import match_labels
from potstill.testing import check_teacher
from tests.teachers.contexts import make_context

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def classifier(encoder_folder, tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classifier")
    names = ["Weather", "loan", "extra", "TRAVEL", "card"]
    config = transformers.BertConfig.from_pretrained(encoder_folder, id2label=dict(enumerate(names)))
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(encoder_folder / "tokenizer.json"),
        pad_token="[PAD]",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    return folder


def test_the_contract_and_the_order_of_classes(classifier, tmp_path):
    context = make_context(tmp_path)
    check_teacher(HuggingFace(model=str(classifier)), context)
    teacher = HuggingFace(model=str(classifier)).prepare(context)
    assert teacher.positions.tolist() == [4, 1, 3, 0]
    assert set(teacher.identity()["files"]) == {"model.safetensors", "tokenizer.json", "config.json"}


def test_batches_change_nothing(classifier, tmp_path):
    teacher = HuggingFace(model=str(classifier)).prepare(make_context(tmp_path))
    texts = ["card please", "what is the weather forecast now for my trip", "loan"]
    (together,) = teacher.answer(texts)
    for i, position in enumerate(together.positions):
        (alone,) = teacher.answer([texts[position]])
        np.testing.assert_allclose(alone.logits[0], together.logits[i], atol=1e-5)


def test_names_are_matched_or_both_sides_are_listed():
    assert match_labels(["Card_Lost", "loan"], ["loan", "card lost"], {}).tolist() == [1, 0]
    assert match_labels(["LABEL_0", "LABEL_1"], ["a", "b"], {"LABEL_0": "b", "LABEL_1": "a"}).tolist() == [1, 0]
    with pytest.raises(DataError, match=r"The data has card; the model has LABEL_0, cards\. .*'card' may be .*'cards'"):
        match_labels(["LABEL_0", "cards"], ["card"], {})


def test_a_model_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TeacherUnavailableError, match="can't be loaded"):
        HuggingFace(model=str(tmp_path / "empty")).prepare(make_context(tmp_path))

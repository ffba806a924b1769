from potstill.data.variants import make_variants

TEXTS = ["my card did not arrive yet", "how do I close my account today", "why was I charged a fee twice"]


def test_variants_are_made_of_the_words_of_the_texts_and_are_new():
    found = make_variants(TEXTS, 20, seed=0)
    assert len(found) == len(set(found)) > 30
    assert not set(found) & set(TEXTS)
    assert {word for text in found for word in text.split()} <= {word for text in TEXTS for word in text.split()}


def test_the_same_seed_makes_the_same_variants():
    assert make_variants(TEXTS, 3, seed=1) == make_variants(TEXTS, 3, seed=1) != make_variants(TEXTS, 3, seed=2)


def test_a_text_without_spaces_is_cut_into_characters():
    found = make_variants(["카드가아직도착하지않았어요", "계좌를해지하고싶습니다"], 20, seed=0)
    assert found and not any(" " in text for text in found)


def test_empty_texts_and_none_make_nothing():
    assert make_variants([], 3, seed=0) == [] == make_variants(TEXTS, 0, seed=0)
    assert all(make_variants(["", "a"], 5, seed=0))

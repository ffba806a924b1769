from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from potstill.students.tokenizer import is_dense, learn_tokenizer
from potstill.students.word_pieces import _merge, learn_pieces


def slow_pieces(words, size):
    """The same without any bookkeeping: counts all pairs anew for every merge."""
    spelled = {word: [word[0], *(f"##{c}" for c in word[1:])] for word in words}
    characters = Counter()
    for word, pieces in spelled.items():
        for piece in pieces:
            characters[piece] += words[word]
    found = [piece for piece, _ in sorted(characters.items(), key=lambda item: (-item[1], item[0]))][:size]
    while len(found) < size:
        pairs = Counter()
        for word, pieces in spelled.items():
            for pair in pairwise(pieces):
                pairs[pair] += words[word]
        if not pairs or max(pairs.values()) < 2:
            break
        pair = min(pairs, key=lambda p: (-pairs[p], p))
        merged = pair[0] + pair[1].removeprefix("##")
        if merged not in found:
            found.append(merged)
        spelled = {word: _merge(pieces, pair, merged) for word, pieces in spelled.items()}
    return found


@given(words=st.dictionaries(st.text("abc", min_size=1, max_size=9), st.integers(1, 9), min_size=1, max_size=12))
def test_merges_are_those_of_the_plain_algorithm(words):
    assert learn_pieces(words, size=30) == slow_pieces(words, 30)


@given(words=st.dictionaries(st.text("abc", min_size=1, max_size=9), st.integers(1, 9), min_size=2, max_size=12))
def test_the_order_of_the_words_changes_nothing(words):
    turned = dict(reversed(words.items()))
    assert learn_pieces(words, size=30) == learn_pieces(turned, size=30)


def test_hangul_syllables_stay_whole_and_unseen_words_are_spelled():
    texts = ["불 꺼줘", "불 켜줘", "음악 꺼줘", "음악 틀어줘"] * 3
    tokenizer = Tokenizer.from_str(learn_tokenizer(texts, vocabulary_size=60, unit="pieces"))
    assert tokenizer.encode("불 꺼줘").tokens == ["[CLS]", "불", "꺼줘", "[SEP]"]
    assert tokenizer.encode("틀줘").tokens == ["[CLS]", "틀", "##줘", "[SEP]"]
    assert tokenizer.id_to_token(0) == "[PAD]"
    assert learn_tokenizer(texts, vocabulary_size=60) == learn_tokenizer(texts[::-1], vocabulary_size=60)


def test_hangul_is_read_by_syllables_with_its_spaces():
    texts = ["안녕 하세요  만화", "안녕 만화책 하세요"]
    tokenizer = Tokenizer.from_str(learn_tokenizer(texts, vocabulary_size=100))
    assert tokenizer.encode("하세 \n 만X").tokens == ["[CLS]", "하", "세", " ", "만", "[UNK]", "[SEP]"]
    assert tokenizer.token_to_id("[PAD]") == 0


def test_the_unit_follows_the_script_unless_it_is_named():
    korean, english = ["오늘 날씨 어때 today"] * 2, ["how is the weather 오늘"] * 2
    assert is_dense(korean)
    assert not is_dense(english)
    as_pieces = Tokenizer.from_str(learn_tokenizer(korean, vocabulary_size=100, unit="pieces"))
    assert "오늘" in as_pieces.encode("오늘").tokens
    as_characters = Tokenizer.from_str(learn_tokenizer(english, vocabulary_size=100, unit="characters"))
    assert as_characters.encode("how").tokens == ["[CLS]", "h", "o", "w", "[SEP]"]


def test_a_small_vocabulary_keeps_the_commonest_characters():
    tokenizer = Tokenizer.from_str(learn_tokenizer(["가가가나나다다"], vocabulary_size=6, unit="characters"))
    assert tokenizer.encode("가나다").tokens[1:-1] == ["가", "나", "[UNK]"]

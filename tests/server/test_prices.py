import pytest

from potstill.errors import ConfigurationError
from potstill.server.prices import Price, price_of, read_prices
from potstill.server.settings import Settings, TeacherSettings


def test_a_price_is_of_a_million_tokens():
    ((name, price),) = read_prices(["gpt=4=0.15,0.60"])
    assert name == "gpt=4" and price.of(2_000_000, 500_000) == pytest.approx(0.15 * 2 + 0.6 / 2)


@pytest.mark.parametrize(
    "option", ["big", "big=1", "big=1,2,3", "big=a,b", "big=-1,2", "big=nan,1", "big=1,inf", "=1,2"]
)
def test_what_is_no_price_is_refused(option):
    with pytest.raises(ConfigurationError, match="expected NAME=IN,OUT"):
        read_prices([option])


def test_one_price_a_teacher():
    with pytest.raises(ConfigurationError, match="has a price already"):
        read_prices(["big=1,2", "big=1,2"])


def test_a_price_without_a_teacher_is_a_mistake(tmp_path):
    teachers = (TeacherSettings(name="big", base_url="http://127.0.0.1:9/v1"),)
    with pytest.raises(ConfigurationError, match=r"no teacher has this name. Teachers are: big"):
        Settings(data=tmp_path, teachers=teachers, prices=read_prices(["bog=1,2"]))
    Settings(data=tmp_path, teachers=teachers, prices=read_prices(["big/small=1,2"]))


def test_a_teacher_for_every_model_has_a_price_for_each():
    prices = {"*": Price(1, 1), "mini": Price(2, 2), "big": Price(3, 3)}
    assert [price_of(prices, name).prompt for name in ("*/other", "*/mini", "big")] == [1, 2, 3]
    assert price_of({"big": Price(3, 3)}, "*/mini") is None

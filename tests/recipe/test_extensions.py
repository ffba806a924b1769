from importlib.metadata import EntryPoint

import pytest

from potstill.errors import ConfigurationError
from potstill.recipe import extensions
from potstill.recipe.load import build_recipe
from potstill.students import Cnn
from potstill.teachers import KINDS, Recorded

GROUP = "potstill.teachers"


def offer(monkeypatch, *entries):
    monkeypatch.setattr(extensions, "entry_points", lambda group: entries if group == GROUP else ())


def test_a_third_partys_kind_is_found_and_ours_stay(monkeypatch):
    offer(
        monkeypatch,
        EntryPoint("acme/recorded", "potstill.teachers:Recorded", GROUP),
        EntryPoint("encoder", "potstill.students:Cnn", GROUP),
    )
    kinds = extensions.installed_kinds(GROUP, KINDS)
    assert kinds["acme/recorded"] is Recorded
    assert kinds["encoder"] is not Cnn


def test_a_package_that_fails_is_named(monkeypatch):
    offer(monkeypatch, EntryPoint("acme/broken", "acme_that_is_not_there:Oracle", GROUP))
    with pytest.raises(ConfigurationError, match=r"'acme/broken' for potstill\.teachers, and fails"):
        build_recipe({"data": {"train": "a.csv"}})

from hypothesis import given
from hypothesis import strategies as st

from potstill.signals.prefixes import plan_prefixes

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@given(st.lists(TOKENS, max_size=12))
def test_every_prompt_is_in_one_group_and_shares_what_the_group_says(prompts):
    plan = plan_prefixes(prompts, least=2)
    assert sorted(i for group in plan.groups for i in group.members) == list(range(len(prompts)))
    for group in plan.groups:
        first = prompts[group.members[0]][: group.length]
        assert all(prompts[i][: group.length] == first for i in group.members)
        assert all(len(prompts[i]) > group.length for i in group.members), "the last token is always computed"
    assert 0 <= plan.num_reused <= plan.num_tokens == sum(map(len, prompts))


def test_two_families_are_two_groups():
    a, b = list(range(100, 140)), list(range(200, 230))
    prompts = [[*a, 1], [*b, 2], [*a, 3], [*b, 4], [9, 9]]
    plan = plan_prefixes(prompts)
    assert {group.length: set(group.members) for group in plan.groups} == {40: {0, 2}, 30: {1, 3}, 0: {4}}
    assert plan.num_reused == 70 and plan.num_alone == 1


def test_a_long_beginning_of_all_beats_longer_ones_of_few():
    shared = list(range(100))
    prompts = [[*shared, i, *range(5)] for i in (1, 1, 2, 2)]
    (group,) = plan_prefixes(prompts).groups
    assert group.length == 100


def test_short_beginnings_are_not_worth_it():
    (group,) = plan_prefixes([[1, 2, 3], [1, 2, 4]]).groups
    assert group.length == 0

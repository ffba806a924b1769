"""Which settings are tried: fair in number, and fit for what is trained."""

import pytest

from potstill.recipe.trials import control_trials, defaults, student_trials, way_of
from potstill.training import Training


@pytest.mark.parametrize("num_trials", range(1, 9))
@pytest.mark.parametrize("is_linear", [False, True])
def test_student_and_control_get_as_many_different_trials(num_trials, is_linear):
    training = Training(num_trials=num_trials)
    base = defaults(training, num_labelled=100, num_unlabelled=900)
    lists = (student_trials(training, base, 600), control_trials(training, base, 600, is_linear=is_linear))
    for trials in lists:
        assert len({trial.name for trial in trials}) == num_trials
        assert {trial.num_steps for trial in trials} == {600}


def test_a_linear_model_tries_rates_and_keeps_its_plain_loss():
    training = Training(num_trials=4)
    base = defaults(training, num_labelled=100, num_unlabelled=0, way=way_of("linear"))
    trials = control_trials(training, base, 600, is_linear=True)
    assert len({trial.learning_rate for trial in trials}) == 3
    assert {(trial.label_smoothing, trial.augmentation) for trial in trials} == {(0.0, 0.0)}


def test_tables_of_rare_features_learn_by_plain_gradients():
    assert way_of("linear").optimizer == way_of("resnet").optimizer == "sgd"
    assert way_of("cnn").optimizer == way_of("encoder").optimizer == "adamw"


def test_an_encoder_is_dropped_out_mildly_unless_the_recipe_says_otherwise():
    way = way_of("encoder")
    silent = defaults(Training(), num_labelled=100, num_unlabelled=0, way=way)
    told = defaults(Training(dropout=0.0), num_labelled=100, num_unlabelled=0, way=way)
    assert (silent.dropout, told.dropout) == (0.1, 0.0)

"""What the report of a student that writes says besides, in English. `written_ko.py` has the same keys."""

WORDS = {
    "exact_match": "exact match",
    "perplexity": "perplexity",
    "kl_to_teacher": "KL to teacher",
    "answer_time": "answer p50 / p95",
    "first_token": "first token",
    "prefill": "read, tokens / CPU s",
    "decode": "written, tokens / CPU s",
    "forms": "Form of the answers",
    "refusals": "refusals",
    "format_errors": "no JSON where it was wanted",
    "field_accuracy": "fields right",
    "verdict_written_gain": (
        "Gain: the teacher helped. The student writes the wanted answer to {student} of {count} test prompts, its "
        "control without the teacher to {control}: {difference} points [{low}, {high}], McNemar p {p}."
    ),
    "verdict_written_no gain": (
        "No gain: the student writes the wanted answer to {student} of {count} test prompts, its control without the "
        "teacher to {control}. The difference of {difference} points [{low}, {high}] may be luck (McNemar p {p})."
    ),
    "verdict_written_harm": (
        "Harm: the student writes the wanted answer to {student} of {count} test prompts, and its control without the "
        "teacher to {control}: {difference} points [{low}, {high}], McNemar p {p}. Ship the control, or change the "
        "teacher."
    ),
    "written_baseline_wins": (
        "A linear model on hashed n-grams, taught with the same rows and the teacher's answers, is right on "
        "{baseline}, at least as often as the student. The answers here are a closed set: consider shipping that "
        "classifier (run `potstill distill` with --text and --label)."
    ),
    "control_better_text": (
        "The control finds the wanted answers likelier (perplexity {control} against {student}), and the student is "
        "nearer to the teacher (KL {student_kl} against {control_kl}): each learned what it was trained on."
    ),
    "chosen_signal": "Of the signals tried on dev, `{signal}` was chosen for the student.",
    "compared_tokens": (
        "Of {rows} answers of the teacher, {compared} were compared with its stored probabilities, at {share} of all "
        "answers' tokens; the others taught by their text alone."
    ),
    "written_answers": "Where student and wanted answer differ",
    "wanted": "wanted answer",
    "prompt": "prompt",
    "dev_exact_match": "exact match on dev",
    "dev_nats": "nats a token on dev",
    "prefixes": "Prompts that begin alike",
    "prefixes_said": (
        "Of {tokens} prompt tokens asked now, {share} were taken from a beginning that had been computed for another "
        "prompt; {alone} prompts shared too little with any other."
    ),
    "prefixes_none": "Nothing was asked now: all answers lay in the store.",
    "cut_answers": "answers without an end within the limit, left out",
    "perplexity_note": (
        "Perplexity is a token of the teacher's for everybody. KL is that of the teacher's {k} likeliest tokens and "
        "the rest as one, on the wanted answers: a lower bound of the full divergence. Times are CPU time of one "
        "thread, one prompt at a time; sizes are those of weights in bf16."
    ),
    "prompt_leaks": "{count} {part} prompts stood in the test rows too ({exact} exactly) and were removed.",
    "gloss_exact_match": "share of answers that are the wanted one, but for space",
    "gloss_perplexity": "how many tokens the model hesitates between, on average, where the wanted answer goes on",
    "gloss_kl": "how far its next-token probabilities are from the teacher's, in nats",
    "card_written": (
        "A language model of {parameters} parameters for one job: cut from {origin} ({layers} layers, {vocabulary} "
        "tokens of vocabulary) and trained on {rows} rows. It knows nothing else and will answer any other prompt "
        "badly."
    ),
    "small_dev_written": "Dev has only {count} rows, so the choice of settings is rough.",
}

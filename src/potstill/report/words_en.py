"""What a report says, in English. `words_ko.py` has the same keys."""

WORDS = {
    # names of contenders
    "teacher": "teacher",
    "student": "student",
    "control": "control",
    "baseline": "baseline (n-grams, linear)",
    "hard_labels": "student on hard labels",
    "soft_labels": "student on soft labels",
    "label_smoothing": "control with label smoothing",
    "teacher_labels": "student on the teacher's answers alone",
    "reference": "control, all labels",
    # verdict
    "title": "Distillation report: {title}",
    "verdict_gain": (
        "Gain: the teacher helped. The student is right on {student} of {count} test rows, its control without "
        "the teacher on {control}: {difference} points [{low}, {high}], McNemar p {p}."
    ),
    "verdict_no gain": (
        "No gain: the student is right on {student} of {count} test rows, its control without the teacher on "
        "{control}. The difference of {difference} points [{low}, {high}] may be luck (McNemar p {p})."
    ),
    "verdict_harm": (
        "Harm: the student is right on {student} of {count} test rows, and its control without the teacher on "
        "{control}: {difference} points [{low}, {high}], McNemar p {p}. Ship the control, or change the teacher."
    ),
    "verdict_balanced": (
        "The test rows are unevenly spread over the classes. With every class counted alike the difference is "
        "{difference} points {ci}."
    ),
    "gap_closed": "Share of the gap between control and teacher that was closed: {gap} {ci}.",
    "gap_open": "Teacher and control are too close for a share of the gap to mean anything.",
    "baseline_wins": (
        "The cheap baseline (hashed n-grams with a linear head, no teacher) is right on {baseline}, at least as "
        "often as the student. Consider shipping that."
    ),
    "smaller": "Against the teacher it is {size} times smaller and {speed} times faster.",
    "caveats": "Read this before you trust the figures",
    # headings
    "contenders": "Contenders",
    "contenders_caption": "All contenders on the same {count} test rows; sizes and times measured in one process.",
    "gain_parts": "Where the gain came from",
    "hard_over_control": "the teacher's answers on unlabelled rows, as hard labels, over the control",
    "soft_over_hard": "soft instead of hard labels",
    "tradeoff": "Accuracy against latency and size",
    "confusion": "Confusions",
    "reliability": "Is the confidence right?",
    "per_class": "Classes: student against teacher",
    "curves": "Learning curves",
    "disagreements": "Where student and teacher disagree",
    "data": "Data",
    "spend": "What the teacher's answers cost",
    "precisions": "Precision of the bundle",
    "trials": "Settings that were tried on dev",
    "choice": "Why this student",
    "provenance": "Where this comes from",
    "model_card": "Model card",
    "glossary": "Words",
    "try_it": "Try the student here, in this browser",
    "likeness": "What the teacher passed on: which classes are alike",
    "likeness_note": (
        "A label names one class. The teacher also says what else a row looks like, and the student learns that, too."
    ),
    "likeness_caption": "Mean probability that the teacher gives to other classes, over the rows of a class",
    "likeness_rows": "Rows where the teacher sees another class besides",
    "views": "Views of the same row, each with its own soft label",
    "views_note": "Teacher and student see the same distorted view; the first of each line is the row itself.",
    "seen_in_it": "classes seen in it",
    "soft_label": "soft label",
    "table_twin": "The same as a table",
    # columns
    "name": "contender",
    "accuracy": "accuracy",
    "interval": "95 % interval",
    "balanced_accuracy": "balanced",
    "macro_f1": "macro-F1",
    "nll": "NLL",
    "ece": "ECE",
    "size": "size",
    "parameters": "parameters",
    "latency": "latency p50 / p95",
    "memory": "peak memory",
    "agreement": "agrees with teacher",
    "step": "step",
    "difference": "difference",
    "label": "label",
    "said": "answer",
    "rows": "rows",
    "teacher_rows": "teacher's rows",
    "change": "change",
    "confidence": "confidence",
    "right": "share right",
    "before": "before temperature",
    "after": "after temperature",
    "class": "class",
    "f1_teacher": "F1 teacher",
    "f1_student": "F1 student",
    "train_loss": "train loss",
    "dev_nll": "dev NLL",
    "dev_accuracy": "dev accuracy",
    "input": "input",
    "true_label": "label",
    "precision": "precision",
    "model_latency": "model p50",
    "mean_kl": "mean KL to fp32",
    "passed": "within limits",
    "chosen": "in the bundle",
    "yes": "yes",
    "no": "no",
    "setting": "setting",
    "value": "value",
    "latency_axis": "latency p50, ms (log scale)",
    "size_axis": "size, MB (log scale)",
    # disagreement browser
    "both_right": "both right",
    "teacher_only": "only the teacher right",
    "student_only": "only the student right",
    "both_wrong": "both wrong",
    "shown_of": "{shown} of {count} shown",
    "confusion_note": "Most frequent wrong answers of the student, with the teacher's count beside them.",
    "no_confusion": "No wrong answers, or a form of label that has no confusion table.",
    "out_of_scope": (
        "Out of scope: {recall} of such rows are refused at the shipped threshold, which keeps {kept} of the "
        "rows in scope ({recall_at_95} if exactly 95 % were kept; AUROC {auroc}; score: {score})."
    ),
    # data
    "count_train": "labelled training rows",
    "count_unlabelled": "unlabelled rows",
    "count_dev": "dev rows",
    "count_test": "test rows",
    "count_out_of_scope_test": "test rows out of scope",
    "nothing_found": "Nothing odd was found in the rows.",
    # findings
    "read_as_cp949": "{source} is not UTF-8; it was read as CP949 (Korean Windows).",
    "text_column": "Column {column} was taken as the input.",
    "label_column": "Column {column} was taken as the label.",
    "held_out": "No test set was given: {count} labelled rows ({share:.0%}) were held out.",
    "broken_inputs": "{source}: {count} rows were put aside, since their file can't be used: {reasons} ({lines}).",
    "sample_rate": "Sounds are brought to {rate:,} samples a second.",
    "groups_shared": "{count} groups of {column} stand on both sides, training and test ({groups}): an easy test.",
    "one_group": "All rows are of one group of {column} ({group}), so dev was split by rows.",
    "empty_inputs": "{source}: {count} rows have an empty input and were left out (lines {lines}).",
    "conflicts": "{source}: {count} rows repeat an earlier input with another label; all were kept (lines {lines}).",
    "repeats": "{source}: {count} rows repeat an earlier row and were left out (lines {lines}).",
    "leaks_removed": (
        "{count} {kind} rows stand in the test set too ({exact} the same, {near} nearly) and were removed from "
        "the {kind} rows (lines here and there: {lines})."
    ),
    "leaks_kept": (
        "{count} {kind} rows stand in the test set too ({exact} the same, {near} nearly) and were kept, as the "
        "recipe asks: the test figures are too good (lines here and there: {lines})."
    ),
    "kind_training": "training",
    "kind_unlabelled": "unlabelled",
    "no_label": "{source}: {count} rows have no label and count as unlabelled.",
    "classes_without_rows": "{count} classes of {field} have no training row left after the splits: {classes}.",
    "labels_are_answers": (
        "The recorded teacher is right on every test row, as where its answers are the labels: accuracy then means "
        "agreement with the teacher, and nobody else has judged."
    ),
    "unknown_test": "The teacher gave no usable answer to {count} test rows; they count as wrong.",
    "small_dev": "Dev has only {count} rows, so the choice of settings and the temperature are rough.",
    "refitted": (
        "Once dev had chosen, teacher, student and controls were trained again with its {count} rows among the "
        "labelled ones; temperatures and thresholds come from the round before."
    ),
    "seeds": (
        "Test accuracy of student / control for {count} seeds: {pairs}. On average {difference} points [{low}, "
        "{high}]; the interval covers neither the draw of labels nor the teacher's seed."
    ),
    "student_named": "The recipe names {kind}.",
    "student_default": "{kind} is the default: the most accurate per byte and per millisecond in our experiments.",
    "candidate_fits": "{name}: {size_bytes:,} bytes, {latency_ms} ms. It fits, and is the strongest that does.",
    "candidate_too_large": "{name}: {size_bytes:,} bytes, {latency_ms} ms. Over the budget.",
    # spend
    "asked": "distinct rows asked now",
    "reused": "distinct rows answered from the store",
    "refused": "rows without a usable answer",
    "calls": "calls",
    "tokens": "tokens",
    "cost": "cost",
    "cpu_seconds": "CPU seconds",
    "cost_teacher": "cost of 1,000 calls of the teacher",
    "cost_student": "cost of 1,000 calls of the student, besides the device",
    "cpu_per_1000": "CPU-seconds for 1,000 single answers: {name}",
    # provenance
    "digest": "SHA-256 of {name}",
    "command": "This command makes the run again",
    "environment": "Environment",
    # model card
    "card_what": "A classifier for {classes} classes, distilled from {teacher}. It ships in {precision}.",
    "card_use": (
        "Made for inputs like the training rows. On other kinds of text or pictures its confidence means "
        "nothing; measure first with `potstill evaluate`."
    ),
    "card_limits": "It was judged on {count} test rows, once, with settings chosen on other rows.",
    "card_license": "Licence of {part}: {license}.",
    "card_no_license": "Licence: not stated by whoever made it. Teacher and data have licences too; check them.",
    "gloss_teacher": "the large model that is asked once and whose answers are kept",
    "gloss_student": "the small model that learns from them and ships",
    "gloss_control": "the student's twin, trained as hard on the labels alone; the difference is what the teacher gave",
    "gloss_soft": "probabilities over all classes as the target, not only the best class",
    "gloss_temperature": "a number that logits are divided by, so that probabilities are right on average",
    "gloss_nll": "negative log-likelihood: surprise at the true label, in nats; lower is better",
    "gloss_ece": "expected calibration error: how far confidence is from the share that is right",
    "gloss_gap": "(student - control) / (teacher - control)",
    "gloss_words": "soft labels",
    "gloss_temperature_word": "temperature",
    "gloss_gap_word": "gap closed",
}

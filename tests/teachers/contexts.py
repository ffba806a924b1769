from potstill.data import DataOptions, load_data
from potstill.teachers import TeacherContext
from potstill.types import Silent
from tests.media import file_of, pictures
from tests.toys import columns, sentences


def make_context(tmp_path, *, table=None, carry=False, data=None):
    """What a run would hand to a teacher, from toy sentences."""
    data = data or load_data(DataOptions(), tables={"train": table or columns(sentences(80))}, carry_columns=carry)
    return TeacherContext(
        schema=data.full_schema,
        labelled=data.train,
        dev=data.dev,
        unlabelled=data.unlabelled,
        test=data.test,
        folder=tmp_path,
        seed=0,
        device="cpu",
        progress=Silent(),
    )


def picture_context(tmp_path, num_rows=48):
    """The same of toy pictures."""
    rows = pictures(num_rows)
    table = {"image": [file_of(array) for array, _ in rows], "label": [label for _, label in rows]}
    data = load_data(DataOptions(image="image", label=("label",)), tables={"train": table})
    return make_context(tmp_path, data=data)

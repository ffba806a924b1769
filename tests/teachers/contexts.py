from potstill.data import DataOptions, load_data
from potstill.teachers import TeacherContext
from potstill.types import Silent
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

import pytest

from potstill.server.database import open_database
from potstill.server.errors import ApiError
from potstill.server.importing.evals import EvalImport, import_eval

EVAL = {"id": "eval_1", "data_source_config": {"type": "custom"}, "testing_criteria": []}
RUN = {"id": "evalrun_1", "status": "completed", "data_source": {"type": "jsonl"}}
ITEM = {"id": "item_1", "datasource_item_id": 0, "status": "pass", "sample": {}, "results": [{"passed": True}]}


@pytest.mark.parametrize("results", [None, "none", ["passed"], [{"passed": True}, 3]])
def test_results_that_are_no_objects_are_refused_and_nothing_is_kept(tmp_path, results):
    database = open_database(tmp_path)
    good = EvalImport(eval=EVAL, run=RUN, output_items=[ITEM])
    wrong = EvalImport(eval=EVAL, run=RUN, output_items=[{**ITEM, "results": results}])
    with pytest.raises(ApiError, match="a list of objects 'results'"):
        database.write_now(lambda connection: import_eval(connection, "default", wrong))
    found = database.write_now(lambda connection: import_eval(connection, "default", good))
    database.close()
    assert found["eval_added"] and found["run_added"] and found["items_added"] == 1

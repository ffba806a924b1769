import json

from sqlalchemy import select

from potstill.server.blobs import Blobs
from potstill.server.database import open_database
from potstill.server.database.tables import files, jobs
from potstill.server.jobs.publish import publish
from potstill.server.jobs.store import job_object

SAID = {
    "kind": "done",
    "model_kind": "classifier",
    "task": {},
    "checkpoints": [{"step": 3, "folder": "run/bundle", "metrics": {"step": 3}}],
    "csv": "step\n3\n",
    "skipped": '[{"line": 2, "image": 0, "reason": "invalid image format"}]',
    "trained_tokens": 5,
    "hyperparameters": {},
    "result": {},
}


def test_the_list_of_skipped_pictures_is_a_result_file(tmp_path):
    database, blobs = open_database(tmp_path), Blobs(tmp_path / "blobs")
    names = ("model", "training_file", "validation_file", "suffix", "seed", "metadata")
    asked = {**dict.fromkeys(names), "model": "potstill-auto"}
    row = {"seq": 1, "project": "default", "id": "ftjob-1", "created_at": 1, "status": "running", "attempt": 1}
    row |= {"request": json.dumps(asked).encode(), "training_digest": "", "lease_until": 0}
    database.write_now(lambda connection: connection.execute(jobs.insert(), row))
    found = database.read_now(lambda connection: connection.execute(select(jobs)).one())
    publish(database, blobs, found, SAID, tmp_path / "jobs")
    done, kept = database.read_now(
        lambda c: (c.execute(select(jobs)).one(), {each.id: each for each in c.execute(select(files))})
    )
    database.close()
    table, skipped = (kept[id] for id in job_object(done)["result_files"])
    assert table.filename == "ftjob-1-results.csv" and skipped.filename == "ftjob-1-skipped-images.json"
    assert blobs.read(skipped.digest).decode() == SAID["skipped"]

"""`potstill serve` with a teacher inside the process whose answer costs nothing, so that a figure is the server's own.

python -m benchmarks.server_instant DATA
"""

import json
import sys
from pathlib import Path

from potstill.server.answerers import completion
from potstill.server.serving import serve
from potstill.server.settings import Settings, TeacherSettings
from potstill.server.upstream.teachers import ApiTeacher

USAGE = {"prompt_tokens": 1000, "completion_tokens": 1, "total_tokens": 1001}


async def answer(self, body):
    return completion(self.model, "red", usage=dict(USAGE))


if __name__ == "__main__":
    ApiTeacher.complete = answer
    teachers = (TeacherSettings(name="big", base_url="http://127.0.0.1:9/v1"),)
    serve(
        Settings(data=Path(sys.argv[1]), port=0, teachers=teachers), lambda found: print(json.dumps(found), flush=True)
    )

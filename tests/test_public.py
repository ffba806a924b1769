"""The public names: adding one is a decision, losing one breaks somebody."""

import subprocess
import sys

import potstill


def test_the_public_names():
    assert potstill.__all__ == [
        "DataOptions",
        "Recipe",
        "Run",
        "__version__",
        "assess",
        "capture",
        "distill",
        "load",
        "load_data",
        "load_recipe",
        "run",
        "train",
        "write_report",
    ]
    for name in potstill.__all__:
        assert getattr(potstill, name) is not None


def test_import_potstill_loads_no_torch():
    program = "import sys, potstill; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_server_loads_no_torch_until_a_job_trains():
    program = "import sys, potstill.server.app, potstill.server.jobs.work; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_distill_in_one_call(tmp_path, encoder_folder, monkeypatch):
    from potstill.teachers import Encoder
    from potstill.training.settings import Training
    from tests.toys import columns, sentences

    monkeypatch.setenv("POTSTILL_STORE", str(tmp_path / "store"))
    done = potstill.distill(
        columns(sentences(160)),
        teacher=Encoder(model=str(encoder_folder), num_epochs=3, learning_rate=1e-3, precision="fp32", num_threads=1),
        training=Training(num_epochs=3, num_trials=1, precision="fp32"),
        out=tmp_path / "out",
        dev_share=0.2,
        seed=3,
    )
    assert done.report.exists() and done.result["verdict"] in ("gain", "no gain", "harm")
    assert done.student.predict(["my card"])[0].label in ("card", "loan", "travel", "weather")

"""A fleet of one small bundle and a device beside it, without a network."""

import http.server
import threading
from contextlib import contextmanager
from functools import partial

from potstill.fleet.device.place import enroll
from potstill.fleet.publisher import create_fleet, publish
from tests.runtime.bundles import make_bundle

MODEL = "colours"


def make_fleet(tmp_path, **options):
    """One key a role where the test is not about keys: signing is most of the time."""
    return create_fleet(tmp_path / "fleet", **{"num_keys": 1, "threshold": 1, **options})


def make_device(tmp_path, fleet, *, name="device", source=None, **options):
    root = (fleet.metadata / "1.root.json").read_bytes()
    where = source or str(fleet.repository)
    return enroll(tmp_path / name, source=where, root=root, **{"model": MODEL, **options})


def release(fleet, tmp_path, number, *, rings=(1.0,), health=None, model=None, **changes):
    """Publishes a bundle that differs by its temperature."""
    folder = tmp_path / f"bundle-{number}"
    if not folder.exists():
        make_bundle(folder, model=model, **{"temperatures": [1.0 + number], **changes})
    return publish(fleet, folder, model=MODEL, rings=rings, health=health)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass


@contextmanager
def served(folder, handler=_Quiet):
    """The address of a plain static server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""The publisher's half: keys, signed metadata, releases, rollouts and what devices report.

Everything lies in one folder. Its `repository` is what a web server serves; `keys` must never be served.
"""

from potstill.fleet.publisher.place import Fleet, create_fleet, open_fleet
from potstill.fleet.publisher.publish import Published, publish

__all__ = ["Fleet", "Published", "create_fleet", "open_fleet", "publish"]

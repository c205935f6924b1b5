"""A fake server: models that speak OpenAI's and Anthropic's dialect on the loopback, with the faults one asks for.

    with fake.running(fake.settings({"models": {"small": {"faults": "429:0.1"}}, "seed": 7})) as server:
        ...  # a workflow whose models are at server.endpoint("small")
        server.counts()

`running` is a process of its own, `serving` the same within an event loop. On the command line: `toolkit fake`.
"""

from __future__ import annotations

from toolkit.fake.fleet_file import fleet_toml
from toolkit.fake.kinds import KINDS
from toolkit.fake.profiles import Outage, Profile, Settings
from toolkit.fake.reading import from_file, settings
from toolkit.fake.server import Served, serve, serving
from toolkit.fake.starting import Running, running

__all__ = [
    "KINDS",
    "Outage",
    "Profile",
    "Running",
    "Served",
    "Settings",
    "fleet_toml",
    "from_file",
    "running",
    "serve",
    "serving",
    "settings",
]

"""A fleet over HTTP: its in-process members behind the OpenAI-compatible dialect, for whoever speaks that.

`app(fleet)` is the ASGI application, `serve(fleet, port)` runs it. On the command line:

    python -m toolkit.serving --fleet models.toml --port 8631
"""

from __future__ import annotations

from toolkit.serving.server import app, serve

__all__ = ["app", "serve"]

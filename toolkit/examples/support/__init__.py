"""A support desk: tickets, a handbook, an orders table, an embedded fleet and the workflow over them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
REQUESTS = FOLDER / "requests.jsonl"
HANDBOOK = FOLDER / "handbook.jsonl"
ORDERS = FOLDER / "orders.csv"
FLEET = FOLDER / "models.toml"

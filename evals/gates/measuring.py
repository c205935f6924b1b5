"""Several processes at work against a fake server. In: what they do, and how the models are. Out: what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit import fake


@dataclass(frozen=True)
class Seen:
    """What the server saw of a model, and what the processes say of themselves.

    `seconds` lie between its first call and its last; `refused` are calls over its limit.
    """

    calls: int
    fine: int
    refused: int
    tokens: int
    seconds: float
    answered: int
    workers: tuple[Mapping[str, Any], ...]

    @property
    def per_minute(self) -> float:
        """Calls that were answered, by the minute."""
        return 60 * (self.fine - 1) / self.seconds if self.fine > 1 else 0.0

    @property
    def tokens_per_minute(self) -> float:
        """Tokens of prompts and answers, by the minute."""
        return 60 * self.tokens / self.seconds if self.fine > 1 else 0.0


def measured(
    what: str,
    models: Mapping[str, Mapping[str, Any]],
    *,
    home: Path,
    rows: int,
    limits: Mapping[str, float] | None = None,
    processes: int = 3,
    watched: str = "m",
    options: tuple[str, ...] = (),
) -> Seen:
    """What became of so many rows in each process. `limits` are fields that the fleet's file has for each model."""
    with fake.running(fake.settings({"models": dict(models), "seed": 7})) as server:
        fleet = home / "models.toml"
        fleet.write_text(_fleet(models, server, limits or {}), encoding="utf-8")
        command = [sys.executable, "-m", "evals.gates.work", what, str(fleet), str(home / "home")]
        workers = [
            subprocess.Popen([*command, f"p{number}", str(rows), *options], stdout=subprocess.PIPE, text=True)
            for number in range(processes)
        ]
        said = [json.loads(worker.communicate(timeout=600)[0].splitlines()[-1]) for worker in workers]
        counts = server.counts()["models"][watched]
        calls = [call for call in server.requests()["requests"] if call["model"] == watched]
    fine = [call for call in calls if call["status"] == 200]
    return Seen(
        calls=len(calls),
        fine=len(fine),
        refused=counts["faults"].get("limit", 0),
        tokens=counts["input_tokens"] + counts["output_tokens"],
        seconds=calls[-1]["at"] - calls[0]["at"] if calls else 0.0,
        answered=sum(worker["answered"] for worker in said),
        workers=tuple(said),
    )


def _fleet(models: Mapping[str, Any], server: fake.Running, limits: Mapping[str, float]) -> str:
    lines = []
    for name in models:
        lines += [
            f"[models.{name}]",
            'provider = "openai"',
            f'model = "{name}"',
            f'endpoint = "{server.endpoint(name)}"',
        ]
        lines += [
            'capabilities = ["chat", "json", "embed"]',
            *(f"{field} = {value}" for field, value in limits.items()),
        ]
    return "\n".join(lines) + "\n"

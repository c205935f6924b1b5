"""One process of several: rows of its own, models and journal that it shares with the others.

    python -m evals.gates.work WHAT FLEET HOME NAME ROWS [--rigid] [--in-flight N]

Prints a line of JSON: rows answered, calls made, seconds, and the median of waiting and of service.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from typing import Any
from unittest.mock import patch

import toolkit as tk
from toolkit.gates import Load

STEADY = tk.Retry(4) | tk.Fallback()


def workflow(what: str) -> tk.Workflow:
    """`limited`: one model; `dead`: one that is dead and one that is not; `vectors`: an embedder."""
    route = {"limited": tk.Fixed("m"), "dead": tk.Ladder("dead", "alive"), "vectors": tk.Fixed("m")}[what]

    @tk.step(route=route, policy=tk.Fallback() if what == "dead" else STEADY)
    def reply(ticket: str) -> tk.Request:
        return tk.prompt("Answer the customer in one sentence.", ticket=ticket)

    @tk.step(route=route, policy=STEADY)
    def vector(ticket: str) -> tk.Request:
        return tk.embed(ticket)

    return tk.Workflow(what, [vector if what == "vectors" else reply])


def rows(name: str, count: int) -> list[dict[str, Any]]:
    text = "Ticket {}: my parcel was to arrive on Monday, and the tracking page has not moved since. Where is it?"
    return [{"id": f"{name}-{number}", "ticket": text.format(f"{name}-{number}")} for number in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.gates.work")
    parser.add_argument("what")
    parser.add_argument("fleet")
    parser.add_argument("home")
    parser.add_argument("name")
    parser.add_argument("rows", type=int)
    parser.add_argument("--rigid", action="store_true", help="do not adapt to refusals")
    parser.add_argument("--in-flight", type=int, default=32)
    given = parser.parse_args()
    began = time.perf_counter()
    with patch.object(Load, "after", _rigid) if given.rigid else contextlib.nullcontext():
        run = workflow(given.what).run(
            rows(given.name, given.rows), tk.Fleet.load(given.fleet), home=given.home, in_flight=given.in_flight
        )
    told = run.sql("select count(*), median(wait_seconds), median(service_seconds) from attempts").rows[0]
    print(json.dumps({"answered": run.progress.answered, "seconds": time.perf_counter() - began,
                      "calls": told[0], "wait_seconds": told[1], "service_seconds": told[2]}))  # fmt: skip


def _rigid(load: Load, *_window: object, **_facts: object) -> Load:
    return load


if __name__ == "__main__":
    main()

"""Two thousand rows through everything that goes wrong at once, and what is left of them.

python -m evals.chaos               # ten minutes; writes results.md
python -m evals.chaos --quick       # 200 rows, a kill every 6 s; writes nothing

A fifth of the calls fail in one of a dozen ways, one model is dead for a third of the time, another grants a twentieth
of what is asked of it, and the batch is killed (`kill -9`) every ten seconds and started again. The server, which
counts by itself, is a process of its own. Exit code 1 where something did not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.record.telling import Figure, figures_table, footer, where
from toolkit import fake
from toolkit.fake.fleet_file import fleet_toml
from toolkit.gates.breaker import SHUT_SECONDS, THRESHOLD
from toolkit.ledger import History

RESULTS = Path(__file__).with_name("results.md")
RUN = "chaos-1"
FAULTS = {
    "429": 0.04, "500": 0.03, "503": 0.03, "529": 0.01, "reset": 0.02, "truncated_json": 0.02, "cut_stream": 0.01,
    "schema_violation": 0.02, "empty_content": 0.01, "html_200": 0.005, "silent": 0.005,
}  # fmt: skip
PERSON = '\n[models.person]\nprovider = "person"\nmodel = "desk"\n'
IN_FLIGHT = 64
MINUTES = 30


@dataclass(frozen=True)
class Ordeal:
    """How bad it is."""

    rows: int = 2_000
    seconds_between_kills: float = 10.0
    outages: str = "5-15/30"
    scarce_per_minute: int = 60
    usd: float = 6.0


@dataclass
class Seen:
    """What the batch did while it was put through it."""

    kills: int = 0
    escaped: list[str] = field(default_factory=list)
    seconds: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.chaos", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="200 rows, a kill every 6 s; write nothing")
    ordeal = Ordeal(rows=200, seconds_between_kills=6.0, usd=0.5) if parser.parse_args().quick else Ordeal()
    with tempfile.TemporaryDirectory(prefix="toolkit-chaos-") as folder, fake.running(_server(ordeal)) as server:
        home, fleet = Path(folder) / "home", Path(folder) / "models.toml"
        counts = server.counts()["models"]
        text = fleet_toml(_server(ordeal), {name: server.endpoint(name) for name in counts})
        fleet.write_text(text.replace("capabilities =", "timeout_seconds = 3.0\ncapabilities =") + PERSON)
        seen = _through_it(ordeal, home, fleet)
        figures = _figures(ordeal, seen, History(home), server.counts()["models"])
        statuses = History(home).sql("select status, count(*) from rows where run_id = $1 group by 1 order by 1", [RUN])
    told = _report(ordeal, seen, figures, dict(statuses.rows))
    print(told)
    held = all(figure.met is not False for figure in figures) and not seen.escaped
    if ordeal == Ordeal():
        RESULTS.write_text(told, encoding="utf-8")
    return 0 if held else 1


def _server(ordeal: Ordeal) -> fake.Settings:
    usual = {"latency_seconds": 0.05, "latency_spread": 0.5, "faults": FAULTS, "retry_after_seconds": 0.5}
    cheap, dear = {"input": 0.5, "output": 1.5}, {"input": 2.5, "output": 10.0}
    models: dict[str, Any] = {
        "small": {**usual, "price": cheap, "quality": 0.8},
        "large": {**usual, "price": dear, "quality": 0.95},
        "doomed": {**usual, "price": cheap, "outages": [f"{ordeal.outages}=503"]},
        "scarce": {**usual, "price": cheap, "requests_per_minute": ordeal.scarce_per_minute, "limit_seconds": 10},
    }
    return fake.settings({"models": models, "seed": 7})


def _through_it(ordeal: Ordeal, home: Path, fleet: Path) -> Seen:
    """Start the batch, kill it a while after it is up, and start it again until it comes to its end."""
    seen, began = Seen(), time.monotonic()
    command = [sys.executable, "-m", "evals.chaos.work", str(home), str(fleet), RUN, str(ordeal.rows), str(ordeal.usd)]
    while time.monotonic() - began < MINUTES * 60:
        work = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert work.stdout is not None
        work.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            said, errors = work.communicate(timeout=ordeal.seconds_between_kills)
            print(said.strip(), file=sys.stderr, flush=True)
            if work.returncode:
                seen.escaped.append(errors.strip().splitlines()[-1] if errors.strip() else f"exit {work.returncode}")
            break
        work.kill()
        work.communicate()
        seen.kills += 1
        print(f"{time.monotonic() - began:4.0f} s: kill {seen.kills}", file=sys.stderr, flush=True)
    seen.seconds = time.monotonic() - began
    return seen


# ------------------------------------------------------------------------------------------------------------- figures
ENDED = "select count(*) from rows where run_id = $1 and (status in ('answered', 'parked') or length(reason) > 0)"
ROWS_DOUBLED = "select count(*) - count(distinct row_id) from rows where run_id = $1"
ANSWERS_DOUBLED = """
    select count(*) from (
        select row_id, step, turn, repeat from answers where run_id = $1 and status = 'answered'
        group by all having count(distinct attempt_id) > 1)"""
ATTEMPTS_DOUBLED = "select count(*) - count(distinct id) from attempts where run_id = $1"
SPENT = "select coalesce(sum(cost_usd), 0) from attempts where run_id = $1"


def _figures(ordeal: Ordeal, seen: Seen, history: History, counts: dict[str, Any]) -> list[Figure]:
    def asked(statement: str) -> float:
        return float(history.sql(statement, [RUN]).rows[0][0])

    served = sum(model["cost_usd"] or 0.0 for model in counts.values())
    requests = sum(model["requests"] for model in counts.values())
    faults = Counter[str]()
    for model in counts.values():
        faults.update(model["faults"])
    dead = counts["doomed"]["faults"].get("outage", 0)
    shut = seen.seconds / SHUT_SECONDS + 1
    return [
        Figure("ended", "rows that ended, each with its reason", asked(ENDED), "", ordeal.rows, more_is_better=True),
        Figure("escaped", "exceptions that escaped", len(seen.escaped), "", 0),
        Figure("rows_doubled", "rows on record twice", asked(ROWS_DOUBLED), "", 0),
        Figure("answers_doubled", "steps answered by two attempts", asked(ANSWERS_DOUBLED), "", 0),
        Figure("attempts_doubled", "attempts on record twice", asked(ATTEMPTS_DOUBLED), "", 0),
        Figure("served_usd", "cost by the server's own count, budget as aim", served, "USD", ordeal.usd),
        Figure("recorded_usd", "cost on record, budget as aim", asked(SPENT), "USD", ordeal.usd),
        Figure("dead", "calls to the dead model while it was dead", dead, "", THRESHOLD * shut + IN_FLIGHT * shut),
        Figure("kills", "kill -9", seen.kills, ""),
        Figure("requests", "requests that arrived", requests, ""),
        Figure("faulty", "of these with a fault", 100 * sum(faults.values()) / max(requests, 1), "%"),
        Figure("limited", "refused by the model of few grants", counts["scarce"]["faults"].get("limit", 0), ""),
    ]


def _report(ordeal: Ordeal, seen: Seen, figures: list[Figure], statuses: dict[str, int]) -> str:
    ended = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in statuses.items())
    escaped = "".join(f"\nEscaped: {line}\n" for line in seen.escaped)
    return (
        f"# Chaos\n\n{ordeal.rows:,} rows of three steps; a kill every {ordeal.seconds_between_kills:g} s; over after "
        f"{seen.seconds:.0f} s. Rows: {ended}. `python -m evals.chaos` does it again.\n\n"
        f"{figures_table(figures)}\n{escaped}\n{footer(where())}\n"
    )


if __name__ == "__main__":
    sys.exit(main())

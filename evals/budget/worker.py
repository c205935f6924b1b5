"""One process at a run under a budget: python -m evals.budget.worker HOME RUN URL BUDGET ROWS IN_FLIGHT."""

from __future__ import annotations

import sys
from pathlib import Path

from toolkit import Fallback, Fleet, Hedge, Ladder, ModelSpec, Request, Retry, Workflow, prompt, step
from toolkit.money.prices import Price

PRICES = {"small": Price(1.0, 4.0), "large": Price(5.0, 20.0)}
WORDS = "Where is my parcel? It was to be here on Tuesday, and nobody answers the telephone. "


@step(route=Ladder("small", "large"), policy=Retry(1, base=0.05, longest=0.2) | Fallback() | Hedge(0.6))
def reply(ticket: str) -> Request:
    return prompt("Answer this ticket in a few words.", ticket=ticket)


def fleet(url: str) -> Fleet:
    """Two models of the fake server; both end their answers at 150 tokens, and are given up after two seconds."""
    return Fleet.of(
        *(
            ModelSpec(
                name,
                "openai",
                name,
                endpoint=url,
                price=price,
                max_output_tokens=150,
                concurrency=256,
                timeout_seconds=2.0,
            )
            for name, price in PRICES.items()
        )
    )


def rows(count: int) -> list[dict[str, str]]:
    return [
        {"id": f"r{number:05d}", "ticket": f"Ticket {number}. {WORDS * (1 + number % 5)}"} for number in range(count)
    ]


def main() -> None:
    home, run_id, url, budget, count, in_flight = sys.argv[1:]
    running = Workflow("desk", [reply]).start(
        rows(int(count)), fleet(url), home=Path(home), run_id=run_id, budget=budget, in_flight=int(in_flight)
    )
    running.wait(show=False)
    print(running.stopped or running.run.status, flush=True)


if __name__ == "__main__":
    main()

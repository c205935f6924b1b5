"""The batch that is put through it: three steps a row, five members of the fleet, a budget.

    python -m evals.chaos.work HOME FLEET RUN ROWS USD

Says that it is up, then begins the run, or goes on with it. Exit code 0 where the run came to its end; anything else,
but being killed, is an exception that escaped.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

from pydantic import BaseModel

import toolkit as tk
from toolkit.ledger import Journal

CAREFUL = tk.Within(seconds=120) | tk.Retry(3, base=0.1, longest=2.0) | tk.Repair(1) | tk.Fallback()


class Triage(BaseModel):
    """What a ticket is about."""

    intent: Literal["refund", "delivery", "account", "other"]
    urgent: bool


class Verdict(BaseModel):
    """Whether a reply may go out."""

    fine: bool


@tk.step(
    route=tk.Explore(tk.Ladder("doomed", "small", "large"), rate=0.2),
    policy=CAREFUL,
    output=Triage,
    max_output_tokens=60,
)
def triage(ticket: str) -> tk.Request:
    return tk.prompt("Triage this support ticket.", ticket=ticket)


@tk.step(route=tk.Ladder("scarce", "small", "large"), policy=CAREFUL, max_output_tokens=120)
def reply(ticket: str, triage: dict[str, Any]) -> tk.Request:
    return tk.prompt("Answer the customer.", ticket=ticket, triage=str(triage))


@tk.step(
    route=tk.Ladder("small", "large", "person"),
    policy=CAREFUL | tk.Escalate(below=0.35),
    output=Verdict,
    max_output_tokens=40,
)
def check(ticket: str, reply: str) -> tk.Request:
    return tk.prompt("May this reply go out?", ticket=ticket, reply=reply)


WORKFLOW = tk.Workflow("chaos", [triage, reply, check])


def rows(count: int) -> list[dict[str, Any]]:
    """Tickets, all different."""
    text = "Ticket {}: my parcel was to arrive on Monday, and the tracking page has not moved since. Where is it?"
    return [{"id": f"ticket-{number:05d}", "ticket": text.format(number)} for number in range(count)]


def main() -> int:
    home, fleet, run_id, count, usd = sys.argv[1:]
    with Journal.open(home) as journal:
        known = journal.run(run_id) is not None
    print("up", flush=True)
    budget = {} if known else {"budget": tk.Budget(usd=float(usd))}
    run = WORKFLOW.run(rows(int(count)), tk.Fleet.load(fleet), home=home, run_id=run_id, seed=7, **budget)
    print(repr(run), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

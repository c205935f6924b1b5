"""What a fake server was asked: totals by model, and the latest calls one by one. No I/O but the log's lines."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

import orjson

from toolkit.fake.deciding import Outcome
from toolkit.records import Json

NO_STATUS = "none"
"""In place of a status, where the client is told none."""


@dataclass(slots=True)
class Tally:
    """Counts of one model. `abandoned` are calls whose client went before the end of the answer."""

    bodies: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    answered: int = 0
    wrong: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    abandoned: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0

    def told(self) -> dict[str, Json]:
        repeated = self.bodies.most_common(1)
        return {
            "requests": self.bodies.total(),
            "distinct": len(self.bodies),
            "repeated": {"hash": repeated[0][0], "count": repeated[0][1]} if repeated else None,
            "faults": dict(self.faults),
            "statuses": dict(self.statuses),
            "answered": self.answered,
            "wrong": self.wrong,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost_usd,
            "abandoned": self.abandoned,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
        }


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as the log tells it; `at` is seconds since 1970, `number` how often its body had come before."""

    sequence: int
    at: float
    model: str
    hash: str
    number: int
    status: int | None
    fault: str | None


class Counts:
    """All counts since the start or the last reset. `log` gets a line of JSON for each call."""

    def __init__(self, models: Iterable[str], *, keep: int, log: BinaryIO | None = None) -> None:
        self.models = list(models)
        self.log = log
        self.calls: deque[Call] = deque(maxlen=keep)
        self.tallies: dict[str, Tally] = {}
        self.total = 0
        self.strangers = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything but what is under way."""
        flying = {name: tally.in_flight for name, tally in self.tallies.items()}
        self.tallies = {name: Tally(in_flight=flying.get(name, 0)) for name in self.models}
        self.calls.clear()
        self.total = self.strangers = 0

    def arrived(self, model: str, hash: str) -> int:
        """A call has come; how often its body came before."""
        tally = self.tallies[model]
        number = tally.bodies[hash]
        tally.bodies[hash] = number + 1
        tally.in_flight += 1
        tally.peak_in_flight = max(tally.peak_in_flight, tally.in_flight)
        return number

    def decided(self, outcome: Outcome, *, hash: str, number: int, at: float) -> None:
        """What is done about a call that arrived."""
        act, usage = outcome.act, outcome.usage
        tally = self.tallies[act.model]
        tally.statuses[NO_STATUS if act.status is None else str(act.status)] += 1
        if outcome.fault is not None:
            tally.faults[outcome.fault] += 1
        if usage is not None:
            tally.answered += outcome.fault is None
            tally.wrong += outcome.right is False
            tally.input_tokens += usage.input_tokens or 0
            tally.output_tokens += usage.output_tokens or 0
            if outcome.cost_usd is not None:
                tally.cost_usd = (tally.cost_usd or 0.0) + outcome.cost_usd
        call = Call(self.total, at, act.model, hash, number, act.status, outcome.fault)
        self.total += 1
        self.calls.append(call)
        if self.log is not None:
            self.log.write(orjson.dumps(call, option=orjson.OPT_APPEND_NEWLINE))

    def ended(self, model: str, *, whole: bool) -> None:
        """The answer to a call has been sent, or its client went away before that."""
        tally = self.tallies.get(model)
        if tally is not None:
            tally.in_flight -= 1
            tally.abandoned += not whole

    def told(self) -> dict[str, Json]:
        """The counts as JSON."""
        tallies = {name: tally.told() for name, tally in self.tallies.items()}
        return {"requests": self.total, "of_unknown_models": self.strangers, "models": tallies}

    def told_calls(self, since: int) -> dict[str, Json]:
        """The calls from number `since` on, as far as they are kept, and the number of the next one."""
        skipped = max(0, since - (self.total - len(self.calls)))
        return {"next": self.total, "requests": list(islice(self.calls, skipped, None))}

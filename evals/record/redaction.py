"""What redaction and recording cost: CPU time for texts, requests and replies, and for a whole attempt's record.

python -m evals.record.redaction            # a minute
python -m evals.record.redaction --quick    # a few seconds, coarser

In: the example's tickets, joined to texts of 1.5 kB. Out: a table in microseconds of CPU time, the lowest of several
rounds, so that a busy machine tells nearly the same as an idle one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from toolkit import Reply, prompt
from toolkit.examples.support import REQUESTS
from toolkit.ledger import Journal
from toolkit.ledger.recording import Content, Recorder
from toolkit.messages import Text
from toolkit.records import Answer, Attempt, Candidate, Decision, Place, Usage, new_id
from toolkit.redaction import Redact, Redactor

SIZE = 1500
KEY = b"k" * 32
PLANTED = (
    "; write to jane.doe@example.com or +49 30 1234567, card 4111 1111 1111 1111, API_KEY=sk-proj-abcDEF0123456789"
)


def main() -> int:
    quick = "--quick" in sys.argv
    rounds, calls = (3, 300) if quick else (9, 3000)
    rows = [orjson.loads(line) for line in REQUESTS.read_bytes().splitlines()]
    print(f"CPU time in microseconds, the lowest of {rounds} rounds of {calls:,} calls\n")
    for name, work in {**_of_redaction(rows), **_of_recording()}.items():
        print(f"{name:<66}{_cost(work, rounds=rounds, calls=calls):>10.1f}", flush=True)
    return 0


def _of_redaction(rows: list[dict[str, Any]]) -> dict[str, Callable[[], Any]]:
    """What is measured of the redactor, by its name."""
    english = " ".join(row["ticket"] for row in rows if row["language"] == "en")[:SIZE]
    other = " ".join(row["ticket"] for row in rows if not row["ticket"].isascii())[:SIZE]
    shown = orjson.dumps(rows[:40], option=orjson.OPT_INDENT_2).decode()[:SIZE]
    work: dict[str, Callable[[], Any]] = {}
    for label, redact in (("secrets", Redact()), ("personal", Redact.personal())):
        redactor = Redactor(redact, key=KEY, known=["a-key-of-the-fleet"])
        request = prompt("Triage this support ticket: its main intent, and whether it is urgent.", ticket=english)
        reply = Reply(parts=(Text('{"intent": "refund", "urgent": false}'),))
        work |= {
            f"{label}: 1.5 kB of English prose, nothing to find": partial(redactor.text, english),
            f"{label}: 1.5 kB of other languages with dates, nothing to find": partial(redactor.text, other),
            f"{label}: 1.5 kB of JSON, nothing to find": partial(redactor.text, shown),
            f"{label}: 1.5 kB with four finds": partial(redactor.text, english + PLANTED),
            f"{label}: a row of the example (15 columns)": partial(redactor.fields, rows[0]),
            f"{label}: a request with 1.5 kB of data": partial(redactor.request, request),
            f"{label}: a short JSON reply": partial(redactor.reply, reply),
            f"{label}: a vector of 300 numbers": partial(redactor.value, [0.25] * 300),
        }
    return work


def _of_recording() -> dict[str, Callable[[], Any]]:
    """A decision, an attempt and an answer, handed over to the journal; its own thread is not counted."""
    body = prompt("Triage this support ticket.", ticket="x" * SIZE).canonical()
    place = Place("run", "row", "workflow/step")
    candidates = tuple(Candidate(name, probability=0.5) for name in ("small", "large"))
    decision = Decision("small", candidates, ("small", "large"), "first rung that may be asked", "Ladder('small')")
    reply = Reply(parts=(Text('{"intent": "refund", "urgent": false}'),), usage=Usage(400, 20))
    attempt = Attempt(
        new_id(), 1, "small", "first", "openai", "m", datetime.now(UTC), 0.001, 0.5, reply, {"intent": "refund"}
    )
    answer = Answer(place, "key", "answered", {"intent": "refund", "urgent": False}, model="small", attempts=1)
    work: dict[str, Callable[[], Any]] = {}
    modes: tuple[Content, ...] = ("full", "hashes")
    for content in modes:
        recorder = Recorder.of(_Nowhere(), content=content, key=KEY)

        def record(recorder: Recorder = recorder) -> None:
            hashed = recorder.request(body)
            recorder.decision(new_id(), place, decision, hashed, inputs={})
            recorder.attempt(place, None, attempt, hashed, operation="chat")
            recorder.answer(answer)

        work[f"recording, content={content}: decision, attempt and answer"] = record
    return work


class _Nowhere(Journal):
    """A journal that keeps nothing: what remains is the cost on the caller's thread."""

    def __init__(self) -> None:
        return

    def write(self, *entries: Any) -> int:
        return 0


def _cost(work: Callable[[], Any], *, rounds: int, calls: int) -> float:
    """Microseconds of CPU time a call, the lowest of the rounds."""
    lowest = float("inf")
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(calls):
            work()
        lowest = min(lowest, (time.thread_time() - began) / calls)
    return lowest * 1e6


if __name__ == "__main__":
    raise SystemExit(main())

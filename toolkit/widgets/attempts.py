"""What a step did for a row, in words: the decision, each attempt with what went in and came out, and the answer.

Pure: records of a `SeenRow` in, HTML out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import orjson

from toolkit.ledger.reading.showing import Record, SeenRow
from toolkit.widgets.course import FAILED, KINDS, kind_of
from toolkit.widgets.markup import bold, details, faint, json_words, listed, pretty, table, words
from toolkit.widgets.telling import duration_of

PRUNED = "not on record any more: pruned or erased"
WITHHELD = "not kept: this run records no words (content = hashes)"


def decision(made: Record) -> str:
    """A decision: who could be asked, why not, with which score and probability, and who was chosen and why."""
    candidates = orjson.loads(made["candidates"] or "[]")
    rows = []
    for each in candidates:
        chosen = each["model"] == made["choice"]
        failed = [v for v in each["verdicts"] if not v["passed"]]
        passed = [v["constraint"] for v in each["verdicts"] if v["passed"]]
        out = "; ".join(f"{v['constraint']}: {v['why']}" if v["why"] else v["constraint"] for v in failed)
        verdict = f"✕ {escape(out)}" if failed else faint(f"✓ {', '.join(passed)}" if passed else "✓")
        score, probability, cost = each.get("score"), each.get("probability"), each.get("expected_cost_usd")
        rows.append((
            f"▸ {bold(each['model'])}" if chosen else escape(each["model"]),
            verdict,
            "" if score is None else f"{score:.4g}",
            "" if probability is None else f"{probability:.3g}",
            "unknown" if cost is None else f"{cost:.6f}",
        ))  # fmt: skip
    head = ("candidate", "constraints", "score", "probability", "expected USD")
    seen = table(head, rows, numbers=(2, 3, 4)) if rows else ""
    about = listed({
        "chosen": f"{bold(made['choice'] or 'nobody')}: {escape(made['reason'] or '')}",
        "router": f"<code>{escape(made['router'] or '')}</code>",
        "probabilities": escape((made["probabilities"] or "").replace("_", " ")),
        "explored": f"{made['exploration_rate']:.1%} of decisions" if made["exploration_rate"] else "",
        "seed": str(made["seed"]) if made["seed"] is not None else "",
        "decided from": f"snapshot {escape(made['snapshot'])}" if made["snapshot"] else "",
    })  # fmt: skip
    return seen + about


def attempt(seen: SeenRow, tried: Record, *, after: str) -> str:
    """An attempt that opens: what went in, what came out, tokens and cost, its error. `after` is what came next."""
    failed = tried["error_type"] is not None
    parts = [
        details("prompt", _request(seen, tried["request_hash"]), is_open=True),
        *([] if tried["dropped"] is None else [details("left out to fit", json_words(tried["dropped"]))]),
        *([] if failed and not tried["output_hash"] else [details("answer", _output(seen, tried), is_open=True)]),
        *([_fault(tried, after)] if failed else []),
        listed(_figures(tried)),
    ]
    return details(_summary(tried), "".join(parts), about=str(tried["id"]))


def answer(settled: Record, seen: SeenRow) -> str:
    """What later steps saw of the step."""
    value = ""
    if settled["status"] == "answered":
        if settled["value"] is not None:
            value = json_words(str(settled["value"]))
        elif settled["value_hash"] is not None or not seen.keeps_texts:
            value = faint(WITHHELD)
        else:
            value = faint(PRUNED)
    told = listed({
        "ended": f"{bold(settled['status'])}{': ' + escape(settled['reason']) if settled['reason'] else ''}",
        "reused from": escape(settled["reused_from"] or ""),
        "of all attempts": f"{settled['attempts']}, {money(settled['cost_usd'])}" if settled["attempts"] else "",
        "key": f"<code>{escape(settled['key'] or '')}</code>",
    })  # fmt: skip
    return value + told


def review(asked: Record) -> str:
    """A question to a person, and what became of it."""
    given = json_words(str(asked["value"])) if asked["value"] is not None else ""
    about = listed({
        "asked": f"{bold(asked['person'])}, {asked['asked_at']:%Y-%m-%d %H:%M:%S} UTC: {escape(asked['why'] or '')}",
        "now": escape(asked["status"]) + (f" by {escape(asked['answered_by'])}" if asked["answered_by"] else ""),
    })  # fmt: skip
    return about + (words(asked["question"]) if asked["question"] else "") + given


def grades(found: Sequence[Record]) -> str:
    """How the step's work was judged."""
    rows = [
        (
            escape(each["grader"]),
            escape(each["label"]) if each["label"] is not None else f"{each['value']:.3g}",
            escape(each["graded_by"] or ""),
            escape(each["reason"] or ""),
        )
        for each in found
    ]
    return table(("grader", "grade", "by", "why"), rows)


def money(usd: float | None) -> str:
    """Dollars; unknown is not nothing."""
    return "unknown USD" if usd is None else f"{usd:.6f} USD" if usd else "0 USD"


def gone(seen: SeenRow) -> str:
    """Why a text is not there."""
    return PRUNED if seen.keeps_texts else WITHHELD


# ------------------------------------------------------------------------------------------------------------ helpers
def _summary(tried: Record) -> str:
    kind, failed = KINDS[kind_of(tried)], tried["error_type"] is not None
    mark = " ".join(filter(None, (kind.mark, FAILED.mark if failed else "")))
    shown = f'<span aria-hidden="true">{mark}</span> ' if mark else ""
    wait = tried["wait_seconds"] or 0.0
    told = [
        tried["why"] or "",
        f"waited {duration_of(wait)}" if wait >= 0.001 else "",
        f"served {duration_of(tried['service_seconds'] or 0.0)}",
        money(tried["cost_usd"]) if not failed or tried["cost_usd"] else "",
        str(tried["error_type"]) if failed else "",
    ]
    listed_ = faint(" · ".join(filter(None, told)))
    return f"{shown}attempt {tried['number']}: {bold(tried['model'])} {listed_}"


def _figures(tried: Record) -> dict[str, str]:
    """Tokens, cost, who it was and what it says of itself; unknown ones are left out."""
    counts = {
        "in": "input_tokens", "read from cache": "cache_read_input_tokens",
        "written to cache": "cache_write_input_tokens", "out": "output_tokens",
        "of these reasoning": "reasoning_output_tokens",
    }  # fmt: skip
    tokens = [f"{tried[column]:,} {name}" for name, column in counts.items() if tried[column]]
    held = f", {money(tried['reserved_usd'])} held back" if tried["reserved_usd"] is not None else ""
    book = f" (price book {tried['price_version']})" if tried["price_version"] else ""
    who = [tried["provider_name"], tried["request_model"], tried["response_model"]]
    return {
        "tokens": escape(", ".join(tokens)),
        "cost": escape(money(tried["cost_usd"]) + book + held),
        "asked": escape(" · ".join(dict.fromkeys(filter(None, who)))),
        "confidence": "" if tried["confidence"] is None else f"{tried['confidence']:.3g}",
        "stopped by": escape(", ".join(tried["finish_reasons"] or ())),
        "sent": f"{tried['started_at']:%Y-%m-%d %H:%M:%S} UTC",
    }


def _fault(tried: Record, after: str) -> str:
    return (
        f'<div style="border-left:3px solid {FAILED.colour};padding:2px 8px;margin:4px 0">'
        f"{FAILED.mark} {bold(tried['error_type'])}: {escape(tried['error_message'] or 'no message')}"
        f"<br>{faint(f'what was done about it: {after}')}</div>"
    )


def _output(seen: SeenRow, tried: Record) -> str:
    if not tried["output_hash"]:
        return faint("vectors" if tried["operation_name"] == "embeddings" else "nothing on record")
    text = seen.texts.get(tried["output_hash"])
    return faint(gone(seen)) if text is None else json_words(text)


def _request(seen: SeenRow, name: str | None) -> str:
    text = None if name is None else seen.texts.get(name)
    if text is None:
        return faint(gone(seen))
    try:
        request = orjson.loads(text)
    except orjson.JSONDecodeError:
        request = None
    if not isinstance(request, dict):
        return words(text)
    said = "".join(map(_said, request.get("messages") or ()))
    inputs = "".join(words(str(each)) for each in (request.get("inputs") or ())[:20])
    rest = {key: value for key, value in request.items() if key not in ("messages", "inputs", "operation")}
    more = details(faint(", ".join(rest)), words(pretty(rest))) if rest else ""
    return said + inputs + more


def _said(message: Any) -> str:
    if not isinstance(message, dict):
        return words(str(message))
    return f"<div>{faint(message.get('role', ''))}{''.join(_parts(message))}</div>"


def _parts(message: dict[str, Any]) -> Iterator[str]:
    for part in message.get("parts") or ():
        name, kind = part.get("name"), part.get("type")
        label = ""
        if name:
            named = f"{(kind or '').replace('_', ' ')} {name}"
            label = f'<div style="margin:4px 0 0">{faint(named)}</div>'
        if kind == "tool_call":
            yield label + words(pretty(part.get("arguments")))
        elif "text" in part:
            yield label + json_words(part["text"])
        else:
            yield faint(f"{kind} {part.get('media_type', '')}")

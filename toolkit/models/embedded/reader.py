"""`reader`: finds an order number, an amount and a date in a text, by patterns.

In: a section `ticket`, optionally `received` (the day that "12 June" or "yesterday" are completed from), and a schema
with any of the properties order_id, amount (EUR) and date. Out: what was found, null where there is none. The
confidence is the least over the fields: near 0.95 for plain notations, lower for bare numbers and relative days, and
where several candidates compete.
"""

from __future__ import annotations

import re

from toolkit.errors import InvalidRequest
from toolkit.models.embedded.amounts import amounts
from toolkit.models.embedded.asked import Field, fields, only, section, subject
from toolkit.models.embedded.dates import iso, mentions
from toolkit.models.embedded.model import Embedded
from toolkit.models.function import text_reply
from toolkit.records import Json, Reply, Request

NAMES = {
    "order_id": "order_id", "order": "order_id", "order_number": "order_id", "order_no": "order_id",
    "amount": "amount", "amount_eur": "amount", "sum": "amount", "date": "date", "day": "date",
}  # fmt: skip
_ORDER_WORD = (
    r"(?:order|bestell\w*|auftrag\w*|commande|pedido|bestelling|ordine|number|nummer|num[eé]ro|n[uú]mero|nr|no|n°|#)"
)
_DIGIT_WORDS = {
    word: str(n)
    for n, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
}


class Reader(Embedded):
    """Patterns for order numbers, amounts and dates. Settings: `order_prefix` ("L"), `order_digits` (5)."""

    def load(self) -> None:
        self._prefix = str(self.spec.settings.get("order_prefix", "L"))
        digits = int(self.spec.settings.get("order_digits", 5))
        prefix = re.escape(self._prefix)
        self._orders = [
            re.compile(rf"(?<![\w]){prefix}\s?[-–—_./]?\s?(\d{{{digits}}})(?!\d)", re.IGNORECASE),
            re.compile(
                rf"\b{_ORDER_WORD}\W{{0,3}}(?:{_ORDER_WORD}\W{{0,3}})?(\d{{{digits}}})(?![\d]|[.,]\d)", re.IGNORECASE
            ),
            re.compile(rf"#\s?(\d{{{digits}}})(?!\d)"),
        ]
        self._spoken = re.compile(
            rf"\b{prefix}[\s,-]+((?:(?:{'|'.join(_DIGIT_WORDS)})[\s,-]*){{{digits}}})", re.IGNORECASE
        )

    def answer(self, request: Request) -> Reply:
        self.chat_only(request)
        if request.output_schema is None:
            raise InvalidRequest(f"{self.spec.name} fills in fields; the request has no output schema")
        wanted = fields(request.output_schema)
        text = subject(request)
        served: dict[str, Json] = {}
        confidences = []
        for field in wanted:
            if (kind := NAMES.get(field.name)) is not None:
                value, confidence = self._find(kind, text, request)
                served[field.name] = self._fitting(field, value)
                confidences.append(confidence)
        if not served:
            raise InvalidRequest(
                f"{self.spec.name} finds order_id, amount and date, not {', '.join(f.name for f in wanted)}"
            )
        answer = only(wanted, served, self.spec.name)
        return text_reply(request, answer, confidence=min(confidences), model=self.spec.name)

    def _find(self, kind: str, text: str, request: Request) -> tuple[Json, float]:
        if kind == "order_id":
            numbers = self.order_numbers(text)
            return (numbers[0], 0.98 if len(set(numbers)) == 1 else 0.8) if numbers else (None, 0.97)
        if kind == "amount":
            found = amounts(self._without_orders(text))
            if not found:
                return None, 0.95
            return found[0].eur, 0.5 + 0.45 * found[0].plainness - (0.15 if len({a.eur for a in found}) > 1 else 0)
        around = iso(section(request, ("received", "today")))
        days = mentions(text, around)
        if not self.spec.settings.get("relative_dates", True):
            days = [mention for mention in days if mention.plainness >= 0.5]
        if not days:
            return None, 0.95
        return days[0].day.isoformat(), 0.45 + 0.5 * days[0].plainness - (0.1 if len({d.day for d in days}) > 1 else 0)

    def order_numbers(self, text: str) -> list[str]:
        """The order numbers in a text, in the shop's notation; those with the prefix come first."""
        numbers = [match[1] for pattern in self._orders for match in pattern.finditer(text)]
        spoken = (re.findall(r"[a-z]+", match[1].lower()) for match in self._spoken.finditer(text))
        numbers.extend("".join(_DIGIT_WORDS[word] for word in said) for said in spoken)
        return [f"{self._prefix}-{number}" for number in numbers]

    def _without_orders(self, text: str) -> str:
        for pattern in self._orders:
            text = pattern.sub(lambda match: " " * len(match[0]), text)
        return text

    def _fitting(self, field: Field, value: Json) -> Json:
        if value is None:
            if not field.nullable:
                raise InvalidRequest(
                    f"{self.spec.name} found no {field.name}, and the schema does not allow null for it"
                )
            return None
        if isinstance(value, float) and field.types and not field.types & {"number", "integer"}:
            return f"{value:.2f}"
        if isinstance(value, float) and "integer" in field.types and "number" not in field.types:
            return round(value)
        return value

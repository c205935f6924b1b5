"""Which numbers in a text are payment cards or phones: found by shape, without eating ids, dates and amounts. Pure.

In: a text. Out: `Found` spans, whose value is the digits alone. A wrong find costs as much as a missed one: an order
number that becomes a token is lost to every later step.

Sources: ISO/IEC 7812-1 (issuers, Luhn's check digit), ITU-T E.164 (country codes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from toolkit.redaction.finding import Found


def digits_in_a_row(text: str) -> int:
    """The sign of numbers: at least how many digits follow each other, separators left out; told as 0, 7 or 13."""
    raw = text.encode("latin-1", "replace").translate(_AS_DIGITS, _SEPARATORS)
    return 0 if b"0" * 7 not in raw else 13 if b"0" * 13 in raw else 7


_AS_DIGITS = bytes(48 if chr(code) in "0123456789" else 120 for code in range(256))
_SEPARATORS = " -./()\u00a0?".encode("latin-1")  # the question mark stands for what Latin-1 has not, say a thin space


# --------------------------------------------------------------------------------------------------------------- cards
_RUN = re.compile(r"[0-9](?<![0-9][0-9])[0-9]*+(?:[ \u00a0\u2009\u202f\u2010\u2011\u2013-][0-9]++)*(?![0-9A-Za-z_])")
_GROUP = re.compile(r"[0-9]+")
_SHAPES = {(4, 6, 5), (4, 6, 4), (4, 4, 4, 1), (4, 3, 3, 3)}


def cards(text: str) -> Iterator[Found]:
    """Payment cards: 13 to 19 digits of a known issuer, grouped as cards are, whose check digit is right."""
    for run in _RUN.finditer(text):
        if run.end() - run.start() < 13 or not _begins(text, run.start()):
            continue
        groups = [(match.start(), match.end()) for match in _GROUP.finditer(text, run.start(), run.end())]
        first = 0
        while first < len(groups):
            last = _card_end(text, groups, first)
            if last is not None:
                digits = "".join(text[start:end] for start, end in groups[first:last])
                yield Found(groups[first][0], groups[last - 1][1], "card", digits)
            first = first + 1 if last is None else last


def _begins(text: str, start: int, *, but: str = "") -> bool:
    """Whether a number begins there: not within a word or a decimal, nor behind one of those marks."""
    before = text[start - 1] if start else " "
    if text[max(0, start - 2) : start] in ("\\n", "\\r", "\\t"):
        return True
    if before in but or before.isalnum() or before == "_":
        return False
    return not (before in ".," and start > 1 and text[start - 2].isdigit())


def is_card(digits: str) -> bool:
    """Whether these digits alone are a card's number."""
    return 13 <= len(digits) <= 19 and _is_issued(digits) and _luhn(digits)


def _card_end(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The number of the group behind the card that begins with group `first`, None where none does."""
    sizes: list[int] = []
    if groups[first][1] - groups[first][0] < 4:
        return None
    for last in range(first, min(first + 6, len(groups))):
        start, end = groups[last]
        sizes.append(end - start)
        if sum(sizes) > 19:
            return None
        if sum(sizes) >= 13 and _is_shape(tuple(sizes)):
            digits = "".join(text[a:b] for a, b in groups[first : last + 1])
            if is_card(digits):
                return last + 1
    return None


def _is_shape(sizes: tuple[int, ...]) -> bool:
    """One run of digits, fours with a rest, or the groups of Amex and Diners."""
    fours = all(size == 4 for size in sizes[:-1]) and sizes[-1] <= 4
    return len(sizes) == 1 or fours or sizes in _SHAPES or (len(sizes) <= 3 and min(sizes) >= 4)


def _is_issued(digits: str) -> bool:
    size, two, four = len(digits), int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return size in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return size == 16
    if two in (34, 37):
        return size == 15
    if two in (36, 38, 39) or 300 <= int(digits[:3]) <= 305:
        return 14 <= size <= 19
    if four == 6011 or two == 65 or 644 <= int(digits[:3]) <= 649 or 3528 <= four <= 3589 or two == 62:
        return size >= 16
    return four in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763)


def _luhn(digits: str) -> bool:
    """Luhn's check, and not one digit throughout."""
    total = sum(map(int, digits[-1::-2])) + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0 and len(set(digits)) > 1


# -------------------------------------------------------------------------------------------------------------- phones
_CANDIDATE = re.compile(
    r"[0-9](?:(?:[ \u00a0\u2009\u202f\u2010\u2011\u2013().-]{0,3}| ?/ ?(?!0))[0-9]){6,18}(?![\w%€$£]|[.,:][0-9])"
)
_SPACES = " \u00a0\u2009\u202f"
_SPACE = re.compile(f"[{_SPACES}]")
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})(?!\d)|\d{4}[./-]\d{1,2}[./-]\d{1,2}(?!\d)|\d{8}(?!\d)")
_NORTH_AMERICA = re.compile(r"(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d([ .-]))[2-9]\d\d[ .-]\d{4}\Z")
_TRUNK = re.compile(r"\(?0[1-9]\d{0,4}\)?[ /-]+[\d /-]+\Z|0[1-9](?:\.\d\d){4}\Z|0[1-9](?: \d\d){4}\Z")
_ASKED_FOR = re.compile(
    r"(?:phone|mobile|cell|call(?:\sme)?(?:\s(?:on|at))?|whatsapp|fax|tele?f\w{0,4}|tel|handy\w{0,8}|mobil\w{0,7}|r[uü]ck"
    r"rufnummer|m[oó]vil|t[eé]l[eé]fono|t[eé]l\w{0,6}|bel(?:len)?|anrufen|appeler|llam\w{1,4}|portable|cellulare)"
    r"(?:\s?(?:no|nr|num\w{0,4}|number|nummer)\.?)?(?:\s(?:is|ist|es|est|lautet|unter))?\s{0,3}[:.#=]?\s{0,3}(?:op|on|at|under|unter|al)?\s?\Z",
    re.IGNORECASE,
)
_COUNTRIES = (
    {"1", "7", "20", "27", *map(str, (*range(30, 35), 36, 39, 40, 41, *range(43, 50), *range(51, 59), *range(60, 67)))}
    | {"81", "82", "84", "86", *map(str, (*range(90, 96), 98)), "211", "212", "213", "216", "218"}
    | set(map(str, (*range(220, 270), 290, 291, *range(297, 300), *range(350, 360), *range(370, 390))))
    | set(map(str, (420, 421, 423, *range(500, 510), *range(590, 600), *range(670, 693), 800, 808, 850, 852, 853)))
    | set(map(str, (855, 856, 870, 880, 886, *range(960, 969), *range(970, 978), *range(992, 999))))
)  # fmt: skip


def phones(text: str) -> Iterator[Found]:
    """Phone numbers: international ones, and national ones that look like nothing else."""
    for candidate in _CANDIDATE.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, *candidate.span())]
        first = 0
        while first < len(groups):
            start = groups[first][0]
            start -= start > 0 and text[start - 1] in "(+"
            last = _phone_end(text, start, groups, first)
            if last is not None:
                end = groups[last - 1][1]
                yield Found(start, end, "phone", _international(text[start:end]))
            first = first + 1 if last is None else last


def _phone_end(text: str, start: int, groups: list[tuple[int, int]], first: int) -> int | None:
    """The number of the group behind the longest phone number from there on, None where none begins there."""
    if not (_begins(text, start, but="#+-/,") if first == 0 else text[start - 1] in f"{_SPACES}("):
        return None
    size, head = groups[first][1] - groups[first][0], text[start]
    near = any(map(str.isalpha, text[max(0, start - 5) : start]))
    asked = near and _ASKED_FOR.search(text[max(0, start - 40) : start]) is not None
    if not asked and head not in "+(0" and size != 3 and (head != "1" or size > 1):
        return None
    for last in range(len(groups), first, -1):
        told = _SPACE.sub(" ", text[start : groups[last - 1][1]])
        if is_phone(told, re.sub(r"\D", "", told), asked=asked):
            return last
    return None


def is_phone(told: str, digits: str, *, asked: bool) -> bool:
    """Whether a run of digits and separators is a phone number; `asked`: the words before it speak of one."""
    if told[0] == "+":
        return 8 <= len(digits) <= 15 and _country(digits)
    if _DATE.match(told):
        return False
    if digits.startswith("00"):
        return 11 <= len(digits) <= 17 and _country(digits[2:]) and (digits[2] not in "17" or digits != told)
    if _NORTH_AMERICA.match(told) or (_TRUNK.match(told) and 9 <= len(digits) <= 12):
        return True
    return asked and 7 <= len(digits) <= 13


def _country(digits: str) -> bool:
    return any(digits[:size] in _COUNTRIES for size in (1, 2, 3))


def _international(told: str) -> str:
    """Digits alone; with 00 as with a plus."""
    digits = re.sub(r"\D", "", told)
    return digits[2:] if told[0] != "+" and digits.startswith("00") else digits

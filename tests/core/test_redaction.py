"""Secrets and people's data are found by shape and by name and replaced by tokens that join; all else stays."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from toolkit import prompt
from toolkit.errors import AccessDenied, LedgerError, RunError
from toolkit.examples.support import REQUESTS
from toolkit.ledger.secret_key import redaction_key
from toolkit.messages import Data, Media, Message, Reasoning, Text, ToolCall, ToolResult, ToolSpec
from toolkit.records import Grade, Json, Reply, Request
from toolkit.redaction import TOKEN, Redact, Redactor
from toolkit.redaction.finding import is_secret_name
from toolkit.redaction.numbers import is_card

KEY = b"k" * 32
SECRETS = Redactor(Redact(), key=KEY)
PERSONAL = Redactor(Redact.personal(), key=KEY, known=["fleet-key-one"])


def kinds(text: str, redactor: Redactor = PERSONAL) -> list[str]:
    """The kinds of the tokens that a text gets."""
    return [token.strip("[").split(":")[0] for token in TOKEN.findall(redactor.text(text))]


# -------------------------------------------------------------------------------------------------------- what is found
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAK\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PLANTED = {
    "sk-proj-abcDEF0123456789abcDEF": "key",
    "sk-ant-api03-abcDEF0123456789": "key",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "key",
    "AKIAIOSFODNN7EXAMPLE": "key",
    "AIzaSyA1234567890abcdefghijklmnopqrstuvw": "key",
    "xoxb-123456789012-abcdefABCDEF": "key",
    "hf_abcdefghijklmnopqrstuvwxyz": "key",
    "sk_live_abcdefghij0123456789": "key",
    "fleet-key-one": "key",
    JWT: "token",
    "Bearer abc123.def456": "token",
    PEM: "private_key",
    "postgres://joe:p@ss:word@db.example/x": "password",
    "API_KEY=abcdefgh": "secret",
    "password: hunter2!": "secret",
    "Authorization: Basic dXNlcjpwYXNz": "secret",
    '{"db_password": "correct horse", "n": 1}': "secret",
    "{'secret_key': 'correct horse'}": "secret",
    '{\\"apiKey\\": \\"correct horse\\"}': "secret",
    "4111 1111 1111 1111": "card",
    "4111-1111-1111-1111": "card",
    "5555555555554444": "card",
    "3782 822463 10005": "card",
    "6011 1111 1111 1117": "card",
    "Jane.Doe+x@mail.example.co.uk": "email",
    "jörg@müller.example": "email",
    "+49 30 1234567": "phone",
    "+1 (555) 234-5678": "phone",
    "(555) 234-5678": "phone",
    "0049 171 2345678": "phone",
    "030 12345678": "phone",
    "0171/2345678": "phone",
    "06 12 34 56 78": "phone",
    "020 7946 0958": "phone",
}


@pytest.mark.parametrize(("text", "kind"), PLANTED.items())
def test_what_looks_like_a_secret_or_a_persons_data_becomes_a_token_of_its_kind(text: str, kind: str) -> None:
    assert kinds(f"well: {text} (that is it)") == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "order L-20568 of 2026-06-22, 79,00 € or 1.234.567,89, customer C-1075",
        "2026-06-22T10:00:00.123456Z and 22.06.2026 12:30, 01/02/2026, 20260622",
        "tracking 00340434161094042557, EAN 4006381333931 twice",
        "0.4111111111111111 and 1.4012888888881881e5, at 52.520008, 13.404954",
        "id 0123456789, invoice 4111111111111112, 123 456 789 items",
        "the token expired, my password is not accepted: help, secret: none",
        "input_tokens: 4096, max_tokens=1234, token_count: 77",
        "risk-management-2026-considerations, class sk-estimator-doc-link, task-0123456789abcdefgh",
        "@home, a@b, see @example.com or user@localhost",
        "the bearer of good news, bearer certificates",
        "f(x, token=None) if password == expected",
        "https://example.com:8080/path?a=b@c, 10:30:00, 192.168.100.200, v1.2.3.4",
        "between 10 - 12 and 100.000 - 200.000 units, 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6",
    ],
)
def test_ids_dates_amounts_and_prose_stay_as_they_are(text: str) -> None:
    assert PERSONAL.text(text) is text


def test_no_ticket_of_the_examples_holds_anything_to_redact() -> None:
    rows = [orjson.loads(line) for line in REQUESTS.read_bytes().splitlines()]
    assert len(rows) > 400
    assert [row["id"] for row in rows if PERSONAL.fields(row) is not row] == []


@pytest.mark.parametrize(
    "asked", ["call me on 2345678", "Tel. 0301234567", "phone number: 555 1234 99", "Handy: 01712345678"]
)
def test_a_bare_number_is_a_phone_where_the_words_before_it_say_so(asked: str) -> None:
    assert kinds(asked) == ["phone"]


@pytest.mark.parametrize(
    "name", ["api_key", "X-Api-Key", "dbPassword", "token", "client_secret", "Authorization", "cvv"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["key", "tokens", "input_tokens", "key_env", "secretary", "ticket", "token_count"])
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_and_cards_are_found_by_default_and_addresses_only_where_asked_for() -> None:
    text = "sk-proj-abcDEF0123456789abcDEF 4111 1111 1111 1111 jane@example.com +49 30 1234567"
    assert kinds(text, SECRETS) == ["key", "card"]
    assert kinds(text) == ["key", "card", "email", "phone"]
    assert Redactor(None, key=b"", known=["fleet-key-one"]).text(f"{text} fleet-key-one") == f"{text} fleet-key-one"


# --------------------------------------------------------------------------------------------------------------- tokens
def test_equal_values_get_equal_tokens_however_they_are_written() -> None:
    for alike in (
        ("Jane@Example.com", "jane@example.COM"),
        ("4111 1111 1111 1111", "4111111111111111", "4111-1111-1111-1111"),
        ("+49 30 1234567", "0049-30-1234567", "+49 (30) 123-4567"),
    ):
        assert len({PERSONAL.text(value) for value in alike}) == 1, alike
    assert PERSONAL.text("jane@example.com") != PERSONAL.text("joan@example.com")


def test_without_the_key_a_token_tells_nothing() -> None:
    assert PERSONAL.text("jane@example.com") != Redactor(Redact.personal(), key=b"x" * 32).text("jane@example.com")


def test_a_card_that_was_read_as_a_number_is_found_and_other_numbers_keep_their_type() -> None:
    row = {
        "card": 4111111111111111,
        "as_float": 4111111111111111.0,
        "n": 4111111111111112,
        "x": 0.5,
        "vector": [0.1] * 50,
    }
    redacted = SECRETS.fields(row)
    assert redacted["card"] == redacted["as_float"] == SECRETS.text("4111 1111 1111 1111")
    assert (redacted["n"], redacted["x"]) == (4111111111111112, 0.5)
    assert redacted["vector"] is row["vector"]


def test_what_stands_under_a_secrets_name_is_replaced_whole_in_its_structure() -> None:
    value = {"api_key": "plain words", "credentials": {"user": "joe", "tries": 3, "on": True, "none": None}, "a": [1]}
    redacted = SECRETS.value(value)
    assert TOKEN.fullmatch(redacted["api_key"])
    assert TOKEN.fullmatch(redacted["credentials"]["user"]) and TOKEN.fullmatch(redacted["credentials"]["tries"])
    assert (redacted["credentials"]["on"], redacted["credentials"]["none"]) == (True, None)
    assert redacted["a"] is value["a"]


def test_json_inside_a_text_stays_json() -> None:
    text = 'it said {"token": "x y \\" z", "cvv": 123, "secrets": {"a": "b", "c": ["d", {"e": "f"}]}, "n": [1, 2]}'
    redacted = orjson.loads(SECRETS.text(text).removeprefix("it said "))
    assert TOKEN.fullmatch(redacted["token"]) and TOKEN.fullmatch(redacted["cvv"])
    assert set(redacted["secrets"]) == {"a", "c"} and TOKEN.fullmatch(redacted["secrets"]["c"][1]["e"])
    assert redacted["n"] == [1, 2]


# -------------------------------------------------------------------------------------------------------------- options
def test_columns_to_keep_are_left_alone() -> None:
    redactor = Redactor(Redact.personal(keep=("sender", "token")), key=KEY)
    row = {"sender": "jane@example.com", "token": "Berlin", "text": "jane@example.com"}
    redacted = redactor.fields(row)
    assert (redacted["sender"], redacted["token"]) == ("jane@example.com", "Berlin")
    assert TOKEN.fullmatch(redacted["text"])
    assert redactor.text('{"token": "Berlin"}') == '{"token": "Berlin"}'


def test_own_patterns_and_a_finder_join_in() -> None:
    def names(text: str) -> list[tuple[int, int, str]]:
        return [(at, at + 4, "PERSON") for at in [text.find("Jane")] if at >= 0]

    redactor = Redactor(Redact(patterns={"customer": r"C-\d{4}"}, finder=names), key=KEY)
    assert kinds("Jane is C-1075", redactor) == ["person", "customer"]
    assert redactor.text("nobody") == "nobody"


def test_finds_that_overlap_become_one_token_and_leave_no_rest() -> None:
    def wide(text: str) -> list[tuple[int, int, str]]:
        return [(5, len(text), "rest")]

    assert PERSONAL.text("jane@example.com").startswith("[email:")
    told = Redactor(Redact.personal(finder=wide), key=KEY).text("jane@example.com and more")
    assert TOKEN.fullmatch(told)


def test_its_repr_is_the_call_that_builds_it() -> None:
    for redact in (
        Redact(),
        Redact.personal(),
        Redact(cards=False, emails=True, patterns={"ticket": r"T-\d+"}, keep=("a", "b")),
    ):
        assert Redact.parse(repr(redact)) == redact
    assert repr(Redact.personal()) == "Redact(emails=True, phones=True)"
    assert Redact.parse("personal") == Redact.personal()
    assert Redact.parse("none") is None and Redact.label(None) == "none"


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("secret", "cannot build the redaction 'secret'; it is secrets, personal, none"),
        ("Redact(email=True)", "cannot build the redaction"),
        ("Redact(emails=open('x'))", "cannot build the redaction"),
        ("Redact(patterns={'a': '('})", "is no regular expression"),
        ("Redact(patterns={'A b': 'x'})", "a word in lower case"),
    ],
)
def test_a_redaction_that_cannot_be_is_refused_with_what_could(label: str, why: str) -> None:
    with pytest.raises(RunError, match=why.replace("(", r"\(")):
        Redact.parse(label)


def test_the_key_is_never_told() -> None:
    assert "kkk" not in repr(Redact()) + repr(PERSONAL) + str(vars(PERSONAL.redact))


# ------------------------------------------------------------------------------------------------- requests and replies
CANARY = "sk-proj-abcDEF0123456789abcDEF"


def test_a_request_is_redacted_in_all_its_words_and_keeps_its_schema() -> None:
    schema = {"type": "object", "properties": {"password": {"type": "string", "description": f"not {CANARY}"}}}
    request = Request(
        messages=(
            Message("system", (Text(f"Use {CANARY}."),)),
            Message("user", (Data("ticket", CANARY), Data("password", "plain"), Media("image/png", "aGVsbG8="))),
            Message("assistant", (ToolCall("1", "look", {"q": CANARY}), Reasoning(CANARY, signature="s"))),
            Message("tool", (ToolResult("1", "look", CANARY),)),
        ),
        inputs=(CANARY,),
        output_schema=schema,
        tools=(ToolSpec("look", CANARY, {"password": {"type": "string"}}),),
    )
    redacted = SECRETS.request(request)
    told = redacted.canonical()
    assert CANARY.encode() not in told and b"plain" not in told
    assert redacted.output_schema is not None
    assert redacted.output_schema["properties"]["password"]["type"] == "string"
    assert redacted.tools[0].parameters == {"password": {"type": "string"}}
    assert SECRETS.request(redacted) is redacted


def test_a_request_without_finds_is_the_same_object() -> None:
    request = prompt("Triage this.", ticket="My parcel is late", rows=[{"a": 1}])
    assert PERSONAL.request(request) is request


def test_a_secret_that_only_the_parts_of_a_reply_make_up_is_found() -> None:
    split = Reply(parts=(Text("it is " + CANARY[:9]), Reasoning("hm"), Text(CANARY[9:])))
    assert SECRETS.reply(split).text == f"it is {SECRETS.text(CANARY)}"
    whole = Reply(parts=(Text("fine"), Text("too")))
    assert SECRETS.reply(whole) is whole


def test_an_error_tells_nothing_and_neither_does_what_it_was_raised_from() -> None:
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as cause:
            raise AccessDenied("HTTP 401", retry_after=3.0) from cause
    except AccessDenied as error:
        clean = PERSONAL.error(error)
    assert clean.__cause__ is None and clean.__context__ is None
    assert (type(clean), str(clean), clean.retry_after) == (AccessDenied, "HTTP 401", 3.0)
    assert CANARY not in str(PERSONAL.error(AccessDenied(f"no: {CANARY}")))
    fine = AccessDenied("fine")
    assert PERSONAL.error(fine) is fine


def test_a_known_key_is_found_even_where_a_message_was_cut_short_within_it() -> None:
    assert "fleet-k" not in PERSONAL.told("HTTP 401: wrong key fleet-key")
    assert PERSONAL.told("HTTP 401: wrong key") == "HTTP 401: wrong key"


def test_a_grade_quotes_nothing() -> None:
    grade = Grade("g", "label", label=CANARY, reason=f"not {CANARY}")
    assert CANARY not in repr(SECRETS.grade(grade))


# ----------------------------------------------------------------------------------------------------------------- laws
SEPARATORS = st.sampled_from([" ", "\n", ", ", " (", "; ", '"', "\t", " <", ": "])
PROSE = st.text(st.characters(codec="utf-8"), max_size=40)
PLANTS = st.sampled_from(list(PLANTED))
PLACED = st.lists(st.tuples(PROSE, SEPARATORS, PLANTS, SEPARATORS), min_size=1, max_size=4)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | PROSE | PLANTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "api_key", "text", "password", "n"]), inner, max_size=4)
    ),
    max_leaves=12,
)
EVERYTHING = Redactor(Redact.personal(patterns={"word": r"\bw[a-z]+d\b"}), key=KEY, known=["fleet-key-one"])


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.one_of(PROSE, st.text(st.sampled_from("0123456789 -.+()@:=[]{}\"'\\aktpsword_EB\n"), max_size=80)))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = EVERYTHING.text(text)
    assert EVERYTHING.text(once) == once


@settings(max_examples=200, deadline=None)
@given(PLACED)
@example([("0", " (", "(555) 234-5678", " ")])
def test_nothing_planted_survives(placed: list[tuple[str, str, str, str]]) -> None:
    text = "".join("".join(piece) for piece in placed)
    redacted = EVERYTHING.text(text)
    assert [plant for _, _, plant, _ in placed if plant in redacted] == []
    assert EVERYTHING.text(redacted) == redacted


@settings(max_examples=200, deadline=None)
@given(JSONS)
def test_structure_and_types_of_json_are_kept_and_redacting_again_changes_nothing(value: Json) -> None:
    redacted = EVERYTHING.value(value)
    assert _shape(redacted, like=value)
    assert EVERYTHING.value(redacted) is redacted
    assert not any(plant in orjson.dumps(redacted).decode() for plant in ("fleet-key-one", "AKIAIOSFODNN7EXAMPLE"))


def _shape(new: Json, *, like: Json) -> bool:
    """Whether it has the same structure; a number may have become a token, as a card's may."""
    if isinstance(like, dict):
        return isinstance(new, dict) and list(new) == list(like) and all(_shape(new[k], like=like[k]) for k in like)
    if isinstance(like, list):
        return isinstance(new, list) and len(new) == len(like) and all(map(lambda a, b: _shape(a, like=b), new, like))
    return type(new) is type(like) or (isinstance(like, int | float) and TOKEN.fullmatch(str(new)) is not None)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**15 - 1), st.sampled_from(["4", "51", "2221", "34", "37", "6011", "65"]))
def test_a_number_is_a_card_only_with_its_own_check_digit(number: int, issuer: str) -> None:
    size = 15 if issuer in ("34", "37") else 16
    body = f"{issuer}{number:015d}"[: size - 1]
    assert sum(is_card(f"{body}{digit}") for digit in range(10)) == (len(set(body)) > 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "1" * 200_000, "1 " * 100_000, "a@" * 100_000, "@" * 200_000, "eyJ" * 60_000, "eyJa." * 40_000, "sk-" * 60_000,
        "-----BEGIN PRIVATE KEY-----" * 5_000, "://a:" * 40_000, "token:" * 30_000, 'token:"' * 30_000,
        "a" * 200_000 + "@b.cc",
        '{"token":' * 20_000, "token:[" * 20_000, "0" * 100_000 + "x", "+49 " * 50_000, "\\" * 100_000 + '"',
        "= " * 100_000,
        "token='" * 30_000, "[email:aaaaaaaaaa]" * 10_000,
    ],
    ids=lambda text: text[:16],
)  # fmt: skip
def test_hostile_texts_take_no_more_than_linear_time(text: str) -> None:
    found = EVERYTHING.text(text)  # what is quadratic takes minutes here, and pytest's limit ends it
    assert EVERYTHING.text(found) == found


# -------------------------------------------------------------------------------------------------------------- the key
def test_the_key_of_a_home_is_made_once_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOOLKIT_REDACTION_KEY", raising=False)
    home = tmp_path / "new"
    assert redaction_key(home) == redaction_key(home)
    assert stat.S_IMODE((home / "redaction.key").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["redaction.key"]
    assert redaction_key(tmp_path / "other") != redaction_key(home)


def test_the_environments_key_comes_first_and_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_REDACTION_KEY", "a word")
    assert redaction_key(tmp_path / "a") == redaction_key(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_without_a_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOOLKIT_REDACTION_KEY", raising=False)
    (tmp_path / "redaction.key").touch()
    with pytest.raises(LedgerError, match="holds no key; put back the one that was there"):
        redaction_key(tmp_path)


def test_processes_that_make_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    code = "import sys; from toolkit.ledger.secret_key import redaction_key; print(redaction_key(sys.argv[1]).hex())"
    environment = {name: value for name, value in os.environ.items() if name != "TOOLKIT_REDACTION_KEY"}
    made: list[Any] = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(6)
    ]
    assert len({process.communicate()[0] for process in made}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["redaction.key"]

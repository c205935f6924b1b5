"""`toolkit prices`: a fleet's prices, those on record, and how far reported costs are from computed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ledger.ledger_samples import attempt, place
from toolkit.ledger import History, Journal, attempt_entries
from toolkit.messages import Text
from toolkit.records import Reply, Usage

if TYPE_CHECKING:
    from tests.cli.conftest import Desk

OTHER = """
[models.small]
provider = "openai"
model = "served"
price = { input = 4.0, output = 8.0 }

[models.large]
provider = "openai"
model = "gpt-4o"

[models.strange]
provider = "openai"
model = "no-such-model"

[models.person]
provider = "person"
"""


@pytest.fixture
def ran(desk: Desk) -> Desk:
    """A desk with one run of three rows under the price of its own fleet."""
    assert desk.run("rows.csv").code == 0
    desk.write("other.toml", OTHER)
    return desk


def lines(text: str) -> dict[str, list[str]]:
    """First word → the words of its line."""
    return {words[0]: words for line in text.splitlines() if (words := line.split())}


def test_a_fleets_prices_are_listed_with_their_versions_and_what_nobody_knows_is_told(desk: Desk) -> None:
    desk.write("other.toml", OTHER)
    ended = desk.toolkit("prices", "--fleet", "other.toml")
    assert ended.code == 0
    told = lines(ended.out)
    assert told["small"][1].startswith("models.toml@")
    assert told["small"][2:] == ["4", "8", "–", "–", "0"]
    assert told["large"][1] == "genai-prices"
    assert "unknown, so that their calls have no cost: strange" in ended.out
    assert not (desk.folder / ".toolkit").exists()


def test_the_prices_of_a_run_are_on_record_those_of_the_list_too(desk: Desk) -> None:
    listed = '\n[models.large]\nprovider = "openai"\nmodel = "gpt-4o"\n'
    desk.write("models.toml", (desk.folder / "models.toml").read_text() + listed)
    assert desk.run("rows.csv").code == 0
    told = lines(desk.toolkit("prices").out)
    assert told["small"][1].startswith("models.toml@")
    assert told["large"][1] == "genai-prices"


def test_history_shows_costs_under_another_fleets_prices_once_they_are_noted(ran: Desk) -> None:
    query = """select version = price_version as own, round(sum(repriced_cost_usd / computed_cost_usd) / count(*), 6)
        from repriced group by own order by own desc"""
    history = History(ran.folder / ".toolkit")
    assert history.sql(query).rows == ((True, 1.0),)
    noted = ran.toolkit("prices", "--fleet", "other.toml", "--note")
    assert noted.code == 0
    assert "noted in .toolkit" in noted.out
    assert history.sql(query).rows == ((True, 1.0), (False, 4.0))
    again = ran.toolkit("prices", "--fleet", "other.toml", "--note")
    assert again.code == 0
    assert history.sql(query).rows == ((True, 1.0), (False, 4.0))


def test_drift_sets_reported_costs_beside_computed_ones(ran: Desk) -> None:
    empty = ran.toolkit("prices", "--drift")
    assert empty.code == 0
    assert "no call has both" in empty.out
    reply = Reply((Text("x"),), usage=Usage(1000, 0), cost_usd=0.03)
    tried = attempt("a1", model="mine", reply=reply, cost_usd=0.03, computed_cost_usd=0.02)
    with Journal.open(ran.folder / ".toolkit") as journal:
        journal.write(*attempt_entries(place(), None, tried, None))
    ended = ran.toolkit("prices", "--drift")
    assert lines(ended.out)["mine"][1:] == ["1", "0.0300", "0.0200", "1.500", "+50.0", "%", "+50.0", "%", "a1"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--note"], "--note needs to know whose prices"),
        (["--fleet", "nowhere.toml"], "there is no fleet file nowhere.toml"),
        (["--fleet", "other.toml", "--note"], "there is no record in .toolkit"),
        (["--drift"], "there is neither journal nor history"),
        ([], "there is neither journal nor history"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(desk: Desk, arguments: list[str], why: str) -> None:
    desk.write("other.toml", OTHER)
    ended = desk.toolkit("prices", *arguments)
    assert ended.code == 2
    assert why in ended.sentence

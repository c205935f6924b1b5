"""What somebody wishes of a run that Prefect has in chunks holds for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.orchestration.desk import ROWS, Asked, desk
from toolkit import History
from toolkit.asking.steering import steer
from toolkit.errors import Stopped
from toolkit.orchestration.batch import Batch
from toolkit.orchestration.form import Form, Given, made_good
from toolkit.widgets import standing_of


@pytest.mark.slow
def test_a_batch_in_chunks_stops_as_a_whole_where_its_run_is_cancelled_by_its_record(tmp_path: Path) -> None:
    models = Asked()
    given = Given(desk, models.fleet, ROWS, chunk_size=5, reference=None)
    batch = Batch(made_good(given, Form(rows="", fleet="", home=str(tmp_path), chunk_size=5)))
    batch.begin()
    chunks = batch.chunks()
    batch.work(next(chunks))
    asked = models.calls
    steer(tmp_path, batch.run_id, "cancel")
    with pytest.raises(Stopped, match="cancelled"):
        batch.work(next(chunks))
    assert models.calls == asked
    batch.close("cancelled")
    assert standing_of(History(tmp_path), batch.run_id).status == "cancelled"

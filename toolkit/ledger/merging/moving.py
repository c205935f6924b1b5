"""The statements by which staged entries enter the attached history."""

from __future__ import annotations

from datetime import UTC, datetime

from duckdb import DuckDBPyConnection

from toolkit.ledger.history.file import CATALOG
from toolkit.ledger.history.schema import BY_NAME, CONTENTS, HistoryTable
from toolkit.ledger.merging.lineage import Lineage, watermarks


def move(connection: DuckDBPyConnection, sources: dict[str, str], *, lineage: Lineage, last: int) -> int:
    """Within the open transaction, add what the history lacks of kind → source; the entries added.

    A source is anything that stands after `from`. Rows of tables with a key replace those with the same key.
    """
    known = watermarks(connection, CATALOG)
    since = lineage.reached(known)
    moved = 0
    if last > since:
        for kind, source in sources.items():
            if kind != CONTENTS.name:
                moved += _add(connection, BY_NAME[kind], source, since)
        for journal_id, seq in lineage.marks(last, known).items():
            connection.execute(f"delete from {CATALOG}.main.merged where journal_id = $1", [journal_id])
            connection.execute(
                f"insert into {CATALOG}.main.merged (journal_id, seq, merged_at) values ($1, $2, $3)",
                [journal_id, seq, datetime.now(UTC)],
            )
    if CONTENTS.name in sources:
        connection.execute(
            f"insert into {CATALOG}.main.contents (hash, body) select hash, body from {sources[CONTENTS.name]} s "
            f"where not exists (select 1 from {CATALOG}.main.contents h where h.hash = s.hash)"
        )
    return moved


def _add(connection: DuckDBPyConnection, table: HistoryTable, source: str, since: int) -> int:
    target = f"{CATALOG}.main.{table.name}"
    if table.key:
        same = " and ".join(f't."{column}" is not distinct from s."{column}"' for column in table.key)
        connection.execute(f"delete from {target} t using {source} s where s.seq > {since} and {same}")
    added = connection.execute(
        f"insert into {target} ({table.names}) select {table.names} from {source} where seq > {since}"
    ).fetchall()
    return int(added[0][0])

"""The support workflow as a Prefect flow, over the shipped requests and the models that run in this process.

python flows/support.py                                   # on a temporary server, or the one PREFECT_API_URL names
python -c "from flows.support import flow; flow.serve()"  # waits for whoever fills in its form in Prefect's UI
"""

from __future__ import annotations

from toolkit.examples.support import FLEET, REQUESTS
from toolkit.examples.support.workflow import support
from toolkit.orchestration import as_flow, local_server

FLEETS = {
    "embedded: small models in this process": FLEET,
    "http: the same names behind a server (models.http.toml)": FLEET.with_name("models.http.toml"),
}
ROUTERS = {
    "triage: small alone": "triage=Fixed('small')",
    "triage: large alone": "triage=Fixed('large')",
    "triage: small or large, by a coin": "triage=Explore(Ladder('small', 'large'), rate=0.5)",
    "triage: as learned, in routers/triage": "triage=Learned('routers/triage')",
}

flow = as_flow(support, fleets=FLEETS, routers=ROUTERS, rows=REQUESTS, chunk_size=200, reference="support")

if __name__ == "__main__":
    with local_server():
        print(flow())

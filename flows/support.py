"""The support workflow as a Prefect flow, over the shipped requests and the models that run in this process.

python flows/support.py                                   # on a temporary server, or the one PREFECT_API_URL names
python -c "from flows.support import flow; flow.serve()"  # waits for whoever fills in its form in Prefect's UI
"""

from __future__ import annotations

from toolkit.examples.support import FLEET, REQUESTS
from toolkit.examples.support.workflow import support
from toolkit.orchestration import as_flow, local_server

flow = as_flow(support, fleet=FLEET, rows=REQUESTS, chunk_size=200, reference="support")

if __name__ == "__main__":
    with local_server():
        print(flow())

"""A door before each model: who may go in now, who waits, and until when.

    attempt ─▶ open, room inside, in time? ─▶ pass ─▶ call ─▶ leave: what the answer says of the model

First come, first served. A door that is open, with room and without a limit per minute, lets in at once: nothing is
awaited and nothing written. The states behind it are pure (`toolkit.gates`); what processes share of them is in the
journal (`toolkit.ledger.writing.shared_gates`).
"""

from toolkit.asking.doors.door import Door, Pass, Refused
from toolkit.asking.doors.doors import Doors
from toolkit.asking.doors.known import BROKEN_OFF, Known, Outcome, gate_name

__all__ = ["BROKEN_OFF", "Door", "Doors", "Known", "Outcome", "Pass", "Refused", "gate_name"]

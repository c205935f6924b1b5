"""What must not be kept is replaced before anybody sees it: secrets by default, people's data where asked for. Pure.

    Redact (the rules) ── with a key ──▶ Redactor: texts and values (`words`), requests, replies, errors (`redactor`)

What is found in a text is told by `finding` (keys, names, addresses) and `numbers` (cards, phones).
"""

from toolkit.redaction.redactor import Redactor as Redactor
from toolkit.redaction.rules import Finder as Finder
from toolkit.redaction.rules import Redact as Redact
from toolkit.redaction.words import TOKEN as TOKEN

"""The seeded organisation: Northpeak, its customers in Salesforce and its six mailboxes.

`organisation.yaml` and `mail/*.eml` are what the simulators load. Both are written by `python -m sandbox.seed.generate`
from the tables and conversation scripts in `tables/`; a second run gives the same bytes.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
ORGANISATION = FOLDER / "organisation.yaml"
MAIL = FOLDER / "mail"

"""A big organisation for tests of scale: many mailboxes, many items for each (`POST /seed`, or `--seed` as a file).

`python -m sandbox.seed.scale --users 50 --opportunities 500 > big.json`; 25,000 items take about three seconds to load.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from sandbox.seed.crm import CUSTOM_OBJECTS, ORG

DOMAIN = "northpeak.example"
ACCOUNTS = 20


def organisation(
    users: int = 50, *, provider: str = "google", opportunities: int = 500, cases: int = 0, projects: int = 0
) -> dict[str, Any]:
    """The document: users `u001@northpeak.example` and so on with mailboxes at `provider` (google, microsoft), 20
    accounts `a01` with a contact `c01` (`c01@a01.example`) each, and so many open items per user, each about one of
    the accounts.
    """
    people = [
        {
            "key": f"u{n:03d}",
            "name": f"User {n:03d}",
            "email": f"u{n:03d}@{DOMAIN}",
            "mail": provider,
            "salesforce": f"u{n:03d}@{DOMAIN}",
        }
        for n in range(1, users + 1)
    ]
    numbers = range(1, ACCOUNTS + 1)
    about = {"account": [f"@a{n:02d}" for n in numbers], "contact": [f"@c{n:02d}" for n in numbers]}
    items = (
        ("Opportunity", opportunities, {"AccountId": about["account"], "Amount": 120000}),
        ("Case", cases, {"AccountId": about["account"], "ContactId": about["contact"], "Origin": "Email"}),
        ("Project__c", projects, {"Name": "{owner}, project {n}", "Account__c": about["account"]}),
    )
    return {
        "users": people,
        "domains": [DOMAIN],
        "salesforce": {
            "org": ORG,
            "integration_user": {
                "key": "integration",
                "name": "Mailspan Integration",
                "salesforce": f"integration@{DOMAIN}",
            },
            "custom_objects": CUSTOM_OBJECTS,
            "records": {
                "Account": [
                    {"_key": f"a{n:02d}", "Name": f"Account {n:02d}", "Website": f"a{n:02d}.example"} for n in numbers
                ],
                "Contact": [
                    {
                        "_key": f"c{n:02d}",
                        "LastName": f"Contact {n:02d}",
                        "Email": f"c{n:02d}@a{n:02d}.example",
                        "AccountId": f"@a{n:02d}",
                    }
                    for n in numbers
                ],
            },
            "generate": [
                {"object": name, "count": count, "owners": [p["salesforce"] for p in people], "fields": fields}
                for name, count, fields in items
                if count
            ],
        },
    }


def main() -> None:
    """Write the document to standard output as JSON, which YAML contains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("users", 50), ("opportunities", 500), ("cases", 0), ("projects", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--provider", choices=("google", "microsoft"), default="google")
    json.dump(organisation(**vars(parser.parse_args())), sys.stdout)


if __name__ == "__main__":
    main()

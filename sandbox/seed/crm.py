"""The Salesforce half of the organisation: records from the tables, references as `@key`."""

from __future__ import annotations

from typing import Any

from sandbox.seed.people import Person, accounts, ascii_fold, staff, table

Record = dict[str, Any]
_PERCENT = {
    "Prospecting": 10,
    "Qualification": 10,
    "Needs Analysis": 20,
    "Value Proposition": 50,
    "Id. Decision Makers": 60,
    "Perception Analysis": 70,
    "Proposal/Price Quote": 75,
    "Negotiation/Review": 90,
    "Closed Won": 100,
    "Closed Lost": 0,
}
ORG = {
    "name": "Northpeak",
    "edition": "Enterprise",
    "licences": 20,
    "shared_activities": True,
    "enhanced_email": True,
    "person_accounts": False,
    "sharing": "public",
}
CUSTOM_OBJECTS = [
    {
        "name": "Project__c",
        "label": "Project",
        "plural": "Projects",
        "prefix": "a01",
        "fields": [
            {
                "name": "Stage__c",
                "label": "Stage",
                "type": "picklist",
                "values": ["Planned", "Running", "On hold", "Finished"],
                "default": "Planned",
            },
            {
                "name": "Priority__c",
                "label": "Priority",
                "type": "picklist",
                "values": ["High", "Normal", "Low"],
                "default": "Normal",
                "required": True,
            },
            {"name": "Account__c", "label": "Account", "type": "reference", "to": ["Account"]},
            {"name": "Contact__c", "label": "Main Contact", "type": "reference", "to": ["Contact"]},
            {"name": "Budget__c", "label": "Budget", "type": "currency"},
            {"name": "Due__c", "label": "Due", "type": "date"},
        ],
    }
]
CUSTOM_FIELDS = {
    "Contact": [
        {"name": "Email_2__c", "type": "email", "label": "Second Email"},
        {"name": "PersonalEmail__c", "type": "email", "label": "Personal Email"},
    ],
    "Account": [{"name": "Email__c", "type": "email", "label": "Account Email"}],
}


def _filled(record: Record) -> Record:
    return {name: value for name, value in record.items() if value not in (None, "")}


def _account(a: Record) -> Record:
    return _filled(
        {
            "_key": a["key"],
            "Name": a["name"],
            "Website": a.get("website"),
            "Email__c": a.get("email"),
            "Phone": a.get("phone"),
            "Industry": a["industry"],
            "NumberOfEmployees": a["staff"],
            "BillingCity": a["city"],
            "BillingCountry": a["country"],
            "ParentId": f"@{a['parent']}" if "parent" in a else None,
            "OwnerId": f"@{a['owner']}",
        }
    )


def _contact(person: Person, a: Record) -> Record:
    return _filled(
        {
            "_key": person.key,
            "FirstName": person.first,
            "LastName": person.last,
            "Email": person.email,
            "Title": person.title,
            "Phone": person.phone,
            "MailingCountry": a["country"],
            "AccountId": f"@{person.account}",
            "OwnerId": f"@{a['owner']}",
        }
    )


def _lead(line: str) -> Record:
    name, title, company, email, status, source, owner, country = (part.strip() for part in line.split(";"))
    first, _, last = name.partition(" ")
    if not ascii_fold(name).strip():
        first, last = last, first
    short = ascii_fold(name).lower().strip() or email.partition("@")[0].replace(".", " ")
    return {
        "_key": "l_" + "_".join(short.replace("-", " ").split()),
        "FirstName": first,
        "LastName": last,
        "Title": title,
        "Company": company.strip('"') or "[not provided]",
        "Email": email,
        "Status": status,
        "LeadSource": source,
        "Country": country,
        "OwnerId": f"@{owner}",
    }


def _fields(line: str) -> list[str]:
    """The eight columns of a deal; a dash stands for nothing."""
    parts = [part.strip().strip('"') for part in line.split(";")]
    return ["" if part == "-" else part for part in parts]


def _reference(key: str) -> str | None:
    return f"@{key}" if key else None


def _deals() -> dict[str, list[Record]]:
    deals = table("deals")
    found: dict[str, list[Record]] = {"Opportunity": [], "OpportunityContactRole": [], "Case": [], "Project__c": []}
    for key, name, account, contact, stage, amount, closing, owner in map(_fields, deals["opportunities"]):
        found["Opportunity"].append(
            _filled(
                {
                    "_key": key,
                    "Name": name,
                    "AccountId": _reference(account),
                    "StageName": stage,
                    "Amount": int(amount),
                    "Probability": _PERCENT[stage],
                    "CloseDate": closing,
                    "OwnerId": f"@{owner}",
                }
            )
        )
        if contact:
            found["OpportunityContactRole"].append(
                {
                    "_key": f"r_{key}",
                    "OpportunityId": f"@{key}",
                    "IsPrimary": True,
                    "ContactId": f"@{contact}",
                    "Role": "Decision Maker",
                }
            )
    for key, name, account, contact, status, priority, number, owner in map(_fields, deals["cases"]):
        found["Case"].append(
            _filled(
                {
                    "_key": key,
                    "CaseNumber": number,
                    "Subject": name,
                    "AccountId": _reference(account),
                    "Origin": "Email",
                    "ContactId": _reference(contact),
                    "Status": status,
                    "Priority": priority,
                    "OwnerId": f"@{owner}",
                }
            )
        )
    for key, name, account, contact, stage, amount, due, owner in map(_fields, deals["projects"]):
        found["Project__c"].append(
            {
                "_key": key,
                "Name": name,
                "Account__c": f"@{account}",
                "Contact__c": f"@{contact}",
                "Stage__c": stage,
                "Budget__c": int(amount),
                "Due__c": due,
                "OwnerId": f"@{owner}",
            }
        )
    return found


def salesforce() -> Record:
    """The `salesforce` part of the organisation."""
    people = [_contact(p, accounts()[key]) for key, company in staff().items() for p in company]
    leads = table("leads")
    deals = table("deals")
    made = _deals()
    records = {  # in an order in which every reference points backwards, or into the same list
        "Account": sorted(map(_account, accounts().values()), key=lambda r: "ParentId" in r),
        "Contact": people + table("extra_contacts"),
        "Opportunity": made["Opportunity"],
        "OpportunityContactRole": made["OpportunityContactRole"],
        "Lead": [_lead(line) for line in leads["people"]] + leads["extra"],
        "Case": made["Case"],
        "Project__c": made["Project__c"],
        "Task": deals["tasks"],
        "Event": deals["events"],
    }
    return {
        "org": ORG,
        "integration_user": {
            "key": "integration",
            "name": "Mailspan Integration",
            "salesforce": "integration@northpeak.example",
        },
        "custom_objects": CUSTOM_OBJECTS,
        "custom_fields": CUSTOM_FIELDS,
        "duplicate_rules": [{"object": "Contact", "fields": ["Email"], "action": "allow"}],
        "records": records,
    }

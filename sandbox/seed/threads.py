"""Plays the conversation scripts of `tables/scripts_*.yaml` with different people, products and dates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sandbox.seed import files, mime
from sandbox.seed.letters import REPLY_PREFIX, Box, Mail, compose, letter_text
from sandbox.seed.people import Person, accounts, staff, table, users

Script = dict[str, Any]
SCRIPT_FILES = ("scripts_sales", "scripts_service", "scripts_office")
OPENING = mime.at("2026-09-21 08:00")
CLOSING = mime.at("2026-11-20 17:00")
NORDIC = dict.fromkeys(("Sweden", "Norway", "Denmark", "Finland"), "Customers/Nordic")
TIDY: dict[str, dict[str, str]] = {
    "anna@northpeak.example": {**NORDIC, "Germany": "Customers/DACH", "Switzerland": "Customers/DACH"},
    "ben@northpeak.example": {"United Kingdom": "Customers/UK", "Ireland": "Customers/UK"},
    "maria@northpeak.example": {"": "Support"},
    "erik@northpeak.example": {"": "Customers"},
    "priya@northpeak.example": {"": "Key accounts"},
    "tom@northpeak.example": {"": "Service reports"},
}
KEEPSAKES = {
    "erik@northpeak.example": ["Key customer"],
    "priya@northpeak.example": ["Waiting"],
    "tom@northpeak.example": ["On site"],
}
FREE_MAIL = ("gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "gmx.de")


def scripts() -> list[Script]:
    """All scripts in the order of their files."""
    return [script for name in SCRIPT_FILES for script in table(name)]


def office_hours(when: datetime, country: str) -> datetime:
    """The same moment, or the next one in which people of `country` sit at their desks."""
    there = mime.local(when, country)
    if there.hour >= 18:
        there = (there + timedelta(days=1)).replace(hour=7, minute=(there.minute * 7) % 60)
    if there.hour < 7:
        there = there.replace(hour=8)
    return there + timedelta(days=max(0, 7 - there.weekday()) if there.weekday() > 4 else 0)


def _castable(script: Script) -> list[str]:
    """The accounts a script may be played at: those whose people write from their own domain."""
    wanted = script.get("country")
    return [
        key
        for key, a in accounts().items()
        if a.get("cast", True)
        and staff()[key]
        and ((a["country"] in wanted) if wanted else a.get("lang", "en") == "en")
        and script.get("owner") in (None, a["owner"])
    ]


def _customers(account: str, script: Script) -> tuple[Person, Person]:
    people = [p for p in staff()[account] if p.email.rpartition("@")[2] not in FREE_MAIL]
    first, second = script.get("people", (0, 1))
    return people[first % len(people)], people[second % len(people)]


def _cast(script: Script, account: str) -> dict[str, Person]:
    customer, second = _customers(account, script)
    user = users()[script.get("user", accounts()[account]["owner"])]
    colleague = users()[script.get("colleague", "tom" if user.key != "tom" else "maria")]
    return {"c": customer, "c2": second, "u": user, "u2": colleague}


def _parameters(script: Script, account: str, cast: dict[str, Person], when: datetime, seed: str) -> dict[str, Any]:
    number = int(mime.digest(seed)[:8], 16)
    product = table("company")["products"][number % len(table("company")["products"])]
    quantity = (12, 20, 25, 40, 60, 75, 120, 250)[number // 7 % 8]
    discount = (4, 5, 6, 8)[number // 11 % 4]
    total = product["unit"] * quantity
    visit = office_hours(when + timedelta(days=9 + number % 5), "Sweden")
    return {
        "product": product["name"],
        "note": product["note"],
        "unit": f"{product['unit']}.00",
        "qty": quantity,
        "total": f"{total:,}",
        "discount": discount,
        "net": f"{total * (100 - discount) // 100:,}",
        "ref": f"Q-26-{1000 + number % 900}",
        "order": f"SO-{118000 + number % 1900}",
        "invoice": f"INV-26{4000 + number % 5000}",
        "serial": f"NP{number % 900000 + 100000}",
        "week": when.isocalendar().week + 4 + number % 3,
        "this_week": when.isocalendar().week,
        "day": f"{visit:%A} {visit.day} {visit:%B}",
        "hour": ("09:00", "10:30", "13:00", "14:30")[number % 4],
        "few": 2 + number % 4,
        "company": accounts()[account]["name"],
        "city": accounts()[account]["city"],
        "c": cast["c"].first,
        "c2": cast["c2"].first,
        "u": cast["u"].first,
        "u2": cast["u2"].first,
    }


def attachment(kind: str, values: dict[str, Any]) -> mime.Part:
    """The file that a turn names with `attach`."""
    lines = (
        f"{values['product']}  x  {values['qty']}",
        f"EUR {values['unit']} each, EUR {values['total']} in all",
        f"For {values['company']}, {values['city']}",
    )
    if kind == "photo":
        return mime.file("IMG_2041.png", "image/png", files.photo(values["qty"]))
    if kind == "spec":
        word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        return mime.file("Specification.docx", word, files.docx((values["product"], values["note"], lines[2])))
    title = {
        "quote": f"Quotation {values['ref']}",
        "order": f"Purchase order {values['order']}",
        "invoice": f"Invoice {values['invoice']}",
        "report": f"Service report {values['serial']}",
    }[kind]
    return mime.file(f"{title.replace(' ', '_')}.pdf", "application/pdf", files.pdf((title, "", *lines)))


def _recipients(
    turn: Script, cast: dict[str, Person], author: Person, last: Mail | None
) -> tuple[list[Box], list[Box]]:
    """Whom a turn goes to: those it names, or everybody on the mail before (reply to all)."""

    def boxes(keys: Sequence[str]) -> list[Box]:
        known = users() | cast
        return [known[k].box if k in known else ("", k) for k in keys]

    if "to" in turn:
        to, cc = boxes(turn["to"]), boxes(turn.get("cc", ()))
    elif last is None:
        to, cc = boxes(["u" if turn["from"].startswith("c") else "c"]), boxes(turn.get("cc", ()))
    else:
        to = [last.author] if last.author != author.box else list(last.to)
        cc = [b for b in (*last.to, *last.cc) if b not in to] + boxes(turn.get("cc", ()))
    unique = dict.fromkeys(b for b in cc if b not in to and b[1] != author.email)
    return [b for b in to if b[1] != author.email], list(unique)


def play(script: Script, account: str, start: datetime, seed: str) -> Iterator[Mail]:
    """One conversation: its mails in order of time."""
    cast = _cast(script, account)
    values = _parameters(script, account, cast, start, seed)
    lang, subject, last, when = script.get("lang", "en"), script["subject"].format(**values), None, start
    for number, turn in enumerate(script["turns"]):
        author = cast[turn["from"]]
        if number:
            pause = timedelta(hours=turn.get("after", 20), minutes=int(mime.digest(seed, number)[:2], 16))
            when += pause
        when = office_hours(when, author.country)
        to, cc = _recipients(turn, cast, author, last)
        if "subject" in turn:
            line, last = turn["subject"].format(**values), last if turn.get("quote", True) else None
        else:
            line = subject if last is None else REPLY_PREFIX[lang] + subject
        greeted = to[0][0].partition(" ")[0] if to[0][0] and number < 3 else ""
        text = letter_text(author, greeted, turn["text"].format(**values), lang, seed)
        last = compose(
            author,
            to,
            cc,
            line,
            when,
            text,
            reply_to=last,
            lang=lang,
            files=[attachment(kind, values) for kind in turn.get("attach", ())],
            with_logo=author.key == "erik" or author.account == "kestrel",
        )
        shown = (*turn.get("cases", ()), *(("signature_logo",) if b"cid:logo" in last.raw else ()))
        yield replace(last, cases=shown, boxes=filed(last.boxes, accounts()[account]["country"]))


def filed(boxes: dict[str, dict[str, Any]], country: str) -> dict[str, dict[str, Any]]:
    """The places of a customer's mail after its owner has tidied up: archived mail gets a label or a folder."""
    found = {}
    for box, place in boxes.items():
        label = TIDY.get(box, {}).get(country) or TIDY.get(box, {}).get("")
        archived = place.get("labels") in ([], ["STARRED"]) or place.get("folder") == "Archive"
        if not label or not archived:
            found[box] = place
        elif "folder" in place:
            found[box] = {**place, "folder": label, "categories": KEEPSAKES[box]}
        else:
            found[box] = {"labels": [*place["labels"], label]}
    return found


def _start(script: Script, number: int, count: int) -> datetime:
    """When the `number`th of `count` conversations begins: evenly over the sixty days, or in the script's `window`."""
    if "window" in script:
        return mime.at(script["window"]) + timedelta(hours=number % 40)
    hours = sum(turn.get("after", 20) for turn in script["turns"][1:]) * 2 + 72
    room = (CLOSING - OPENING) - timedelta(hours=hours)
    return OPENING + room * ((number * 37 % count) / count) + timedelta(minutes=number * 17 % 540)


def conversations() -> Iterator[list[Mail]]:
    """Every script at several accounts, never twice at the same one, spread over the sixty days."""
    played: dict[str, int] = {}
    met: set[tuple[str, str]] = set()
    everything = [(script, turn) for turn in range(4) for script in scripts() if turn < script.get("times", 2)]
    for number, (script, turn) in enumerate(everything):
        fresh = [key for key in _castable(script) if (script["key"], key) not in met]
        choice = min(fresh, key=lambda key: (played.get(key, 0), mime.digest(script["key"], key)))
        met.add((script["key"], choice))
        played[choice] = played.get(choice, 0) + 1
        mails = list(play(script, choice, _start(script, number, len(everything)), f"{script['key']}-{turn}"))
        if mails[-1].when > CLOSING:
            raise ValueError(f"{script['key']} at {choice} ends on {mails[-1].when}")
        yield mails

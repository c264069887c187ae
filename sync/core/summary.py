"""A module item -> its summary e-mail (product.md 9 F8, 14): good on a phone, in the dark, and as plain text.

What stands in the CRM is shown, never obeyed: every text is escaped, a link is one that the CRM's adapter built and
leads to a web address, and the subject is one line. Mail programs strip most style sheets, so the essential styles are
inline and colours change by a small sheet where it is allowed.
"""

from __future__ import annotations

import html as entities
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from sync.core.cut import shorten
from sync.core.labels import Enabled
from sync.core.leaves import amount, title, visible
from sync.modules import Activity, ModuleItem
from sync.policy import Policy

LONGEST_SUBJECT = 200
LONGEST_VALUE = 500
_KINDS = {"email": "E-mail", "task": "Task", "event": "Event"}

_SHEET = """
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  .page { background: #1b1b1f !important; }
  .card { background: #26262b !important; border-color: #44444c !important; }
  .text { color: #f1f1f4 !important; }
  .soft { color: #b9b9c3 !important; }
  .rule { border-color: #44444c !important; }
  .button { background: #8ab4f8 !important; color: #10131a !important; }
}
@media (max-width: 480px) {
  .card { padding: 16px !important; }
  .button { display: block !important; text-align: center !important; }
}
"""
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"


@dataclass(frozen=True, slots=True)
class Summary:
    """`subject` is one line; `html` a whole document."""

    subject: str
    text: str
    html: str


def compose(item: ModuleItem, enabled: Enabled, policy: Policy, crm_name: str) -> Summary:
    """The same item gives the same summary, to the letter: the engine compares digests."""
    heading = title(item)
    worth = amount(item.amount, item.currency or policy.currency)
    facts = _facts(item, enabled, worth)
    link = _web(item.edit if policy.summary_link == "edit" else item.view)
    action = f"{'Edit' if policy.summary_link == 'edit' else 'Open'} in {crm_name}"
    lead = f"[{visible(item.number)}] " if item.number else ""
    tail = f" ({worth})" if worth else ""
    subject = shorten(_line(lead + heading), LONGEST_SUBJECT - len(tail)) + tail
    return Summary(
        subject,
        _text(enabled.module.label, subject, facts, item.activities, link, action),
        _html(enabled.module.label, subject, facts, item.activities, link, action),
    )


def _facts(item: ModuleItem, enabled: Enabled, worth: str) -> list[tuple[str, str]]:
    module = enabled.module
    labels = {name: spec.label for name, spec in module.fields.items()}
    rows = [
        (labels.get(module.status, "Status"), item.status),
        (labels.get(module.amount, "Amount"), worth),
        ("Account", item.account),
        ("Contact", item.contact),
        (labels.get(module.due, "Due"), _day(item.due) if item.due else ""),
        ("Owner", item.owner_name),
        *item.fields,
    ]
    out: dict[str, str] = {}
    for label, value in rows:
        if value.strip():
            out.setdefault(_line(label), shorten(_line(value), LONGEST_VALUE))
    return list(out.items())


def _text(
    label: str, subject: str, facts: Sequence[tuple[str, str]], history: Sequence[Activity], link: str, action: str
) -> str:
    lines = [label.upper(), subject, ""]
    lines += [f"{name}: {value}" for name, value in facts]
    if link:
        lines += ["", f"{action}: {link}"]
    if history:
        lines += ["", "Latest activity"]
        lines += [f"- {_day(one.at)}  {_kind(one)}: {_line(one.subject)}{_by(one)}" for one in history]
    return "\n".join([*lines, "", _foot()]) + "\n"


def _html(
    label: str, subject: str, facts: Sequence[tuple[str, str]], history: Sequence[Activity], link: str, action: str
) -> str:
    esc = entities.escape
    rows = "".join(
        f'<tr><th scope="row" class="soft" align="left" valign="top" style="{_FONT};font-size:14px;line-height:20px;'
        f'font-weight:normal;color:#5f5f6b;padding:4px 16px 4px 0;white-space:nowrap">{esc(name)}</th>'
        f'<td class="text" valign="top" style="{_FONT};font-size:14px;line-height:20px;color:#1b1b1f;padding:4px 0">'
        f"{esc(value)}</td></tr>"
        for name, value in facts
    )
    button = (
        f'<p style="margin:20px 0 4px"><a class="button" href="{esc(link)}" style="{_FONT};display:inline-block;'
        f"background:#0b57d0;color:#ffffff;font-size:15px;line-height:20px;font-weight:600;text-decoration:none;"
        f'padding:12px 20px;border-radius:6px">{esc(action)}</a></p>'
        if link
        else ""
    )
    lines = "".join(
        f'<li class="text" style="{_FONT};font-size:14px;line-height:20px;color:#1b1b1f;margin:0 0 6px">'
        f'<span class="soft" style="color:#5f5f6b">{esc(_day(one.at))} &middot; {esc(_kind(one))}</span><br>'
        f"{esc(_line(one.subject))}{esc(_by(one))}</li>"
        for one in history
    )
    activity = (
        f'<h2 class="text" style="{_FONT};font-size:15px;line-height:20px;color:#1b1b1f;margin:24px 0 8px">'
        f'Latest activity</h2><ul style="margin:0;padding:0 0 0 18px">{lines}</ul>'
        if lines
        else ""
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f"<title>{esc(subject)}</title><style>{_SHEET}</style></head>"
        '<body class="page" style="margin:0;padding:16px;background:#f4f4f7">'
        '<div class="card" style="max-width:600px;margin:0 auto;background:#ffffff;border:1px solid #dcdce3;'
        'border-radius:8px;padding:24px">'
        f'<p class="soft" style="{_FONT};font-size:12px;line-height:16px;letter-spacing:.06em;color:#5f5f6b;'
        f'margin:0 0 4px">{esc(label.upper())}</p>'
        f'<h1 class="text" style="{_FONT};font-size:20px;line-height:26px;color:#1b1b1f;margin:0 0 16px;'
        f'overflow-wrap:anywhere">{esc(subject)}</h1>'
        f'<table cellpadding="0" cellspacing="0" border="0">{rows}</table>'
        f"{button}{activity}"
        f'<p class="soft rule" style="{_FONT};font-size:12px;line-height:16px;color:#5f5f6b;margin:24px 0 0;'
        f'border-top:1px solid #dcdce3;padding:12px 0 0">{esc(_foot())}</p></div></body></html>\n'
    )


def _foot() -> str:
    return "Kept up to date by Mailspan. Changes belong in the CRM; this mail goes away when the item is closed."


def _kind(one: Activity) -> str:
    return _KINDS.get(one.kind, "Activity")


def _by(one: Activity) -> str:
    return f" ({_line(one.who)})" if one.who else ""


def _day(when: date | datetime) -> str:
    day = when.astimezone(UTC).date() if isinstance(when, datetime) else when
    return f"{day.day} {day:%b} {day.year}"


def _line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in visible(text)).split())


def _web(link: str) -> str:
    """A link that leads to a web page; anything else is none."""
    parts = urlsplit(link.strip())
    return link.strip() if parts.scheme == "https" and parts.netloc and '"' not in link else ""

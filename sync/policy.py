"""Every policy option once: name, default, check, one line of help. The only place that knows an option's name.

`Policy` is what the core reads; `OPTIONS` is the same as a table, for the YAML file, the API and the documentation.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Check = Callable[[Any], Any]


class OptionError(ValueError):
    """An option's value is wrong; the text says what was expected and what was given."""


def _got(expected: str, value: object) -> OptionError:
    return OptionError(f"expected {expected}, got {value!r}")


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _got("true or false", value)
    return value


def _text(longest: int = 100, *, empty: bool = False) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value.strip()) > longest or not (empty or value.strip()):
            raise _got(f"a text of {0 if empty else 1} to {longest} characters", value)
        return value.strip()

    return check


def _label(value: Any) -> str:
    text: str = _text(60, empty=True)(value)
    if "/" in text or "\\" in text:
        raise _got("a name without / and \\", value)
    return text


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _got(f"a whole number from {low} to {high}", value)
        return value

    return check


def _choice(*allowed: str) -> Check:
    def check(value: Any) -> str:
        if value not in allowed:
            raise _got("one of " + ", ".join(allowed), value)
        return str(value)

    return check


_DOMAIN = re.compile(r"^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z0-9-]{2,}$")


def _domains(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise _got("a list of domains such as example.com", value)
    out = []
    for item in value:
        domain = item.strip().lower().removeprefix("@") if isinstance(item, str) else ""
        if not _DOMAIN.match(domain):
            raise _got("a domain such as example.com or *.example.com", item)
        out.append(domain)
    return tuple(out)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in value):
        raise _got("a list of texts", value)
    return tuple(item.strip() for item in value)


def _crm_id(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9-]{0,40}", value):
        raise _got("the id of a CRM record", value)
    return value


@dataclass(frozen=True, slots=True)
class BlockRule:
    """An address pattern (regular expression, whole address, any case) in a place, and what it does."""

    pattern: str
    place: Literal["any", "from", "to", "cc", "bcc"] = "any"
    action: Literal["skip_item", "skip_match"] = "skip_match"

    def matches(self, email: str, role: str) -> bool:
        place = "from" if role == "reply_to" else role
        return self.place in ("any", place) and re.fullmatch(self.pattern, email, re.IGNORECASE) is not None


def _block_rules(value: Any) -> tuple[BlockRule, ...]:
    if not isinstance(value, (list, tuple)):
        raise _got("a list of {pattern, place, action}", value)
    rules = []
    for item in value:
        if not isinstance(item, Mapping) or "pattern" not in item or set(item) - {"pattern", "place", "action"}:
            raise _got("{pattern, place, action}", item)
        try:
            re.compile(item["pattern"])
        except (re.error, TypeError) as error:
            raise OptionError(f"pattern {item['pattern']!r} is no regular expression: {error}") from error
        place = _choice("any", "from", "to", "cc", "bcc")(item.get("place", "any"))
        action = _choice("skip_item", "skip_match")(item.get("action", "skip_match"))
        rules.append(BlockRule(item["pattern"], place, action))
    return tuple(rules)


def _option(default: Any, check: Check, text: str, page: str) -> Any:
    """A field whose default is also checked when the module is loaded, so the table cannot lie."""
    return field(default=check(default), metadata={"check": check, "help": text, "page": page})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The options of one sync policy (product.md 3.2)."""

    enabled: bool = _option(True, _flag, "The policy runs; off pauses its mailboxes and loses nothing.", "general")
    # schedule
    drop_poll_seconds: int = _option(
        30,
        _number(1, 3600),
        "Seconds between looks at an active mailbox without push; quiet ones up to four times that.",
        "schedule",
    )
    sweep_minutes: int = _option(
        10,
        _number(1, 1440),
        "Minutes between looks at what lies in the drop labels, whatever the changes said.",
        "schedule",
    )
    # the tree
    master_label: str = _option("", _label, "Parent of the label tree; empty: the CRM's name.", "e-mail")
    trigger_category: str = _option(
        "Track in CRM",
        _label,
        "A mail that the user gives this category (in Gmail: label) is filed in place.",
        "e-mail",
    )
    done_marker: str = _option("Processing Complete!", _label, "Marks a mail that is filed.", "e-mail")
    missing_marker: str = _option(
        "Missing Required Matches", _label, "Marks a mail whose people were not found and not created.", "e-mail"
    )
    error_marker: str = _option("Tracking Failed", _label, "Marks a mail that could not be filed.", "e-mail")
    # matching
    must_match: bool = _option(
        True, _flag, "File only if at least one contact or lead matched or was created.", "e-mail"
    )
    user_exclusivity: bool = _option(True, _flag, "Addresses of CRM users are not treated as contacts.", "e-mail")
    create_missing: bool = _option(True, _flag, "Create the contact, lead and account that is missing.", "e-mail")
    match_leads: bool = _option(False, _flag, "Search leads after contacts.", "e-mail")
    create_as_lead: bool = _option(False, _flag, "Create a lead instead of a contact.", "e-mail")
    assign_to_account: str = _option("", _crm_id, "Id of a fixed account for new contacts; empty: none.", "e-mail")
    account_name_from: str = _option(
        "company",
        _choice("company", "domain"),
        "Names a new account: the company (then the domain), or the domain.",
        "e-mail",
    )
    creation_block_domains: tuple[str, ...] = _option(
        (), _domains, "No contact, lead or account is created for addresses of these domains.", "e-mail"
    )
    internal_domains: tuple[str, ...] = _option(
        (),
        _domains,
        "Domains of the own company besides that of the mailbox: nobody is created for them (with user_exclusivity).",
        "e-mail",
    )
    freemail_guard: bool = _option(
        True, _flag, "No account is created from, or matched by, a free-mail or public-suffix domain.", "e-mail"
    )
    freemail_domains: tuple[str, ...] = _option(
        (), _domains, "More domains that count as free mail, besides the built-in list.", "e-mail"
    )
    account_domain_must_be_unique: bool = _option(
        True, _flag, "When several accounts share a domain, leave the account blank; off: take the oldest.", "e-mail"
    )
    block_rules: tuple[BlockRule, ...] = _option(
        (), _block_rules, "Address patterns: skip the whole mail (skip_item) or that address (skip_match).", "e-mail"
    )
    extra_email_fields: tuple[str, ...] = _option(
        ("auto",), _texts, "More e-mail fields to match by; auto: those that the CRM's description shows.", "e-mail"
    )
    hold_on_missing_match: bool = _option(
        False, _flag, "Keep an unmatched mail in the drop label and try again, instead of returning it.", "e-mail"
    )
    # filing
    crm_email_record: str = _option(
        "auto",
        _choice("auto", "email_message", "task"),
        "Record kind: e-mail record, task, or auto (e-mail record if a contact or lead matched and the CRM has it).",
        "e-mail",
    )
    body: str = _option(
        "full", _choice("full", "newest_part", "headers_only"), "How much of the text is written to the CRM.", "e-mail"
    )
    attachments: bool = _option(True, _flag, "Attachments are stored as files of the CRM record.", "e-mail")
    attachment_max_mb: int = _option(
        10, _number(0, 35), "Larger attachments are left out and named in the trace (MiB; 0: none).", "e-mail"
    )
    # connection
    crm_access: str = _option(
        "service",
        _choice("service", "user"),
        "Write to the CRM as the connection's user, or as the mailbox's own CRM user.",
        "connection",
    )


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    default: Any
    check: Check
    help: str
    page: str


OPTIONS: Mapping[str, Option] = {
    item.name: Option(item.name, item.default, item.metadata["check"], item.metadata["help"], item.metadata["page"])
    for item in dataclasses.fields(Policy)
}


def parse(values: Mapping[str, Any]) -> Policy:
    """The policy of these values. Raises `OptionError` for the first wrong one; unknown names are wrong too."""
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in OPTIONS:
            raise OptionError(f"{name}: no such option")
        try:
            checked[name] = OPTIONS[name].check(value)
        except OptionError as error:
            raise OptionError(f"{name}: {error}") from error
    return Policy(**checked)


def to_json(policy: Policy) -> dict[str, Any]:
    """The options that differ from the defaults, as plain JSON; `parse` reads it back."""
    out: dict[str, Any] = {}
    for name, option in OPTIONS.items():
        value = getattr(policy, name)
        if value != option.default:
            out[name] = (
                [
                    {"pattern": v.pattern, "place": v.place, "action": v.action} if isinstance(v, BlockRule) else v
                    for v in value
                ]
                if isinstance(value, tuple)
                else value
            )
    return out

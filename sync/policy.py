"""Every policy option once: name, default, check, one line of help. The only place that knows an option's name.

`Policy` is what the core reads; `OPTIONS` is the same as a table, for the YAML file, the API and the documentation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sync import options
from sync.options import BlockRule, Check, ModuleRule, OptionError, TriggerCategory

__all__ = [
    "OPTIONS",
    "BlockRule",
    "ModuleRule",
    "Option",
    "OptionError",
    "Policy",
    "TriggerCategory",
    "conflicts",
    "parse",
    "to_json",
]


def _option(default: Any, check: Check, text: str, page: str) -> Any:
    """A field whose default is also checked when the module is loaded, so the table cannot lie."""
    return field(default=check(default), metadata={"check": check, "help": text, "page": page})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The options of one sync policy (product.md 3.2)."""

    enabled: bool = _option(
        True, options.flag, "The policy runs; off pauses its mailboxes and loses nothing.", "general"
    )
    # schedule
    drop_poll_seconds: int = _option(
        30,
        options.number(1, 3600),
        "Seconds between looks at an active mailbox without push; quiet ones up to four times that.",
        "schedule",
    )
    sweep_minutes: int = _option(
        10,
        options.number(1, 1440),
        "Minutes between looks at what lies in the drop labels, whatever the changes said.",
        "schedule",
    )
    # the tree
    master_label: str = _option("", options.label, "Parent of the label tree; empty: the CRM's name.", "e-mail")
    trigger_category: str = _option(
        "Track in CRM",
        options.label,
        "A mail that the user gives this category (in Gmail: label) is filed in place.",
        "e-mail",
    )
    done_marker: str = _option("Processing Complete!", options.label, "Marks a mail that is filed.", "e-mail")
    missing_marker: str = _option(
        "Missing Required Matches", options.label, "Marks a mail whose people were not found and not created.", "e-mail"
    )
    error_marker: str = _option("Tracking Failed", options.label, "Marks a mail that could not be filed.", "e-mail")
    # matching
    must_match: bool = _option(
        True, options.flag, "File only if at least one contact or lead matched or was created.", "e-mail"
    )
    user_exclusivity: bool = _option(
        True, options.flag, "Addresses of CRM users are not treated as contacts.", "e-mail"
    )
    create_missing: bool = _option(
        True, options.flag, "Create the contact, lead and account that is missing.", "e-mail"
    )
    match_leads: bool = _option(False, options.flag, "Search leads after contacts.", "e-mail")
    create_as_lead: bool = _option(False, options.flag, "Create a lead instead of a contact.", "e-mail")
    assign_to_account: str = _option(
        "", options.crm_id, "Id of a fixed account for new contacts; empty: none.", "e-mail"
    )
    account_name_from: str = _option(
        "company",
        options.choice("company", "domain"),
        "Names a new account: the company (then the domain), or the domain.",
        "e-mail",
    )
    creation_block_domains: tuple[str, ...] = _option(
        (), options.domains, "No contact, lead or account is created for addresses of these domains.", "e-mail"
    )
    internal_domains: tuple[str, ...] = _option(
        (),
        options.domains,
        "Domains of the own company besides that of the mailbox: nobody is created for them (with user_exclusivity).",
        "e-mail",
    )
    freemail_guard: bool = _option(
        True, options.flag, "No account is created from, or matched by, a free-mail or public-suffix domain.", "e-mail"
    )
    freemail_domains: tuple[str, ...] = _option(
        (), options.domains, "More domains that count as free mail, besides the built-in list.", "e-mail"
    )
    account_domain_must_be_unique: bool = _option(
        True,
        options.flag,
        "When several accounts share a domain, leave the account blank; off: take the oldest.",
        "e-mail",
    )
    block_rules: tuple[BlockRule, ...] = _option(
        (),
        options.block_rules,
        "Address patterns: skip the whole mail (skip_item) or that address (skip_match).",
        "e-mail",
    )
    extra_email_fields: tuple[str, ...] = _option(
        ("auto",),
        options.texts,
        "More e-mail fields to match by; auto: those that the CRM's description shows.",
        "e-mail",
    )
    hold_on_missing_match: bool = _option(
        False,
        options.flag,
        "Keep an unmatched mail in the drop label and try again, instead of returning it.",
        "e-mail",
    )
    # filing
    crm_email_record: str = _option(
        "auto",
        options.choice("auto", "email_message", "task"),
        "Record kind: e-mail record, task, or auto (e-mail record if a contact or lead matched and the CRM has it).",
        "e-mail",
    )
    body: str = _option(
        "full",
        options.choice("full", "newest_part", "headers_only"),
        "How much of the text is written to the CRM.",
        "e-mail",
    )
    attachments: bool = _option(True, options.flag, "Attachments are stored as files of the CRM record.", "e-mail")
    attachment_max_mb: int = _option(
        10, options.number(0, 35), "Larger attachments are left out and named in the trace (MiB; 0: none).", "e-mail"
    )
    # modules, Assign To, summaries
    modules: tuple[ModuleRule, ...] = _option(
        (),
        options.modules,
        "Kinds of items to create from mails, to assign mails to and to summarise: opportunity, case, Project__c, ...",
        "modules",
    )
    assign_to: bool = _option(False, options.flag, "A drop label for each active item, below Assign To.", "modules")
    assign_to_scope: str = _option(
        "owned",
        options.choice("owned", "team", "visible"),
        "Which items: those the user owns, those of teams the user is in, or all that the user sees.",
        "modules",
    )
    assign_to_cap: int = _option(
        500, options.number(0, 5000), "Most items per module and mailbox, the latest active first (0: none).", "modules"
    )
    assign_to_grace_days: int = _option(
        0, options.number(0, 365), "Days that a closed item keeps its drop label and summary.", "modules"
    )
    summaries: bool = _option(
        True, options.flag, "A summary e-mail for each active item, in the label of its module.", "modules"
    )
    summary_link: str = _option(
        "view",
        options.choice("view", "edit"),
        "Where the link of a summary leads: to see the item, or to edit it.",
        "modules",
    )
    currency: str = _option(
        "USD", options.currency, "Currency of amounts where the CRM does not name one (ISO code).", "modules"
    )
    trigger_categories: tuple[TriggerCategory, ...] = _option(
        {}, options.trigger_categories, "More trigger categories, each with the module it creates, or email.", "e-mail"
    )
    trigger_burst: int = _option(
        30,
        options.number(1, 10000),
        "More mails with a trigger category than this within a minute are not filed but parked: a rule set them.",
        "e-mail",
    )
    # conversation follow
    conversation_follow: bool = _option(
        False, options.flag, "Later mails of a conversation are filed like the one filed by hand.", "follow"
    )
    follow_marker: str = _option(
        "Conversation Tracked", options.label, "Marks a mail that was filed by following.", "follow"
    )
    follow_stop_marker: str = _option(
        "Stop Following",
        options.label,
        "A mail that the user gives this category (label) ends the following; empty: none.",
        "follow",
    )
    follow_subject_change_stops: bool = _option(
        True, options.flag, "A mail with another subject is a new conversation.", "follow"
    )
    follow_existing_later: bool = _option(
        True, options.flag, "Also later mails that were there when the first one was filed.", "follow"
    )
    follow_skip_internal: bool = _option(False, options.flag, "Do not follow replies among colleagues only.", "follow")
    follow_stop_on_close: bool = _option(
        False,
        options.flag,
        "Stop when an item that the mailbox shows is closed.",
        "follow",
    )
    # connection
    crm_access: str = _option(
        "service",
        options.choice("service", "user"),
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


def conflicts(policy: Policy) -> list[tuple[str, str]]:
    """Options that are right by themselves and do not go together: (option, what is wrong and what to do) of each.
    For who declares a policy; one that was stored by an older version runs with them."""
    return [*_triggers_without_module(policy), *_names_twice(policy)]


def _triggers_without_module(policy: Policy) -> Iterator[tuple[str, str]]:
    rules = {rule.name.casefold(): rule for rule in policy.modules}
    for trigger in policy.trigger_categories:
        rule = rules.get(trigger.module.casefold())
        if not trigger.module or (rule is not None and rule.create):
            continue
        if rule is not None:
            text = f"{trigger.name}: nothing creates {rule.name}, as its create is false; set it to true in modules"
        else:
            known = ", ".join(one.name for one in policy.modules) or "none"
            text = f"{trigger.name}: {trigger.module} is not in modules (there: {known}); add it there, or say email"
        yield "trigger_categories", text


def _names_twice(policy: Policy) -> Iterator[tuple[str, str]]:
    """A mail system has one label or category of a name: two meanings of it could not be told apart."""
    named = [(option, "", getattr(policy, option) or OPTIONS[option].default) for option in _MARKERS]
    if policy.conversation_follow:
        named.append(("follow_marker", "", policy.follow_marker or OPTIONS["follow_marker"].default))
        named.append(("follow_stop_marker", "", policy.follow_stop_marker))
    named.append(("trigger_category", "", policy.trigger_category))
    named += [("trigger_categories", f"{one.name}: ", one.name) for one in policy.trigger_categories]
    named.sort(key=lambda one: one[2] != OPTIONS[one[0]].default)  # what was chosen is told, not what it meets
    first: dict[str, str] = {}
    for option, which, name in named:
        key = " ".join(name.split()).casefold()
        if key and key in first:
            yield option, f"{which}{name!r} is the name of {first[key]} too; choose another one"
        first.setdefault(key, option)


_MARKERS = ("done_marker", "missing_marker", "error_marker")


def parse(values: Mapping[str, Any]) -> Policy:
    """The policy of these values. Raises `OptionError` for the first wrong one; unknown names are wrong too. What does
    not go together is told by `conflicts`."""
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
        if value == option.default:
            continue
        if name == "trigger_categories":
            out[name] = {one.name: one.module or options.ARCHIVES for one in value}
        else:
            out[name] = [_plain(one) for one in value] if isinstance(value, tuple) else value
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, BlockRule):
        return {"pattern": value.pattern, "place": value.place, "action": value.action}
    return options.module_json(value) if isinstance(value, ModuleRule) else value

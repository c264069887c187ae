"""What the values of policy options may be: checks that tell what was expected, and the rules that options hold."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Check = Callable[[Any], Any]


class OptionError(ValueError):
    """An option's value is wrong; the text says what was expected and what was given."""


def _got(expected: str, value: object) -> OptionError:
    return OptionError(f"expected {expected}, got {value!r}")


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _got("true or false", value)
    return value


def text(longest: int = 100, *, empty: bool = False) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value.strip()) > longest or not (empty or value.strip()):
            raise _got(f"a text of {0 if empty else 1} to {longest} characters", value)
        return value.strip()

    return check


def label(value: Any) -> str:
    name: str = text(60, empty=True)(value)
    if "/" in name or "\\" in name:
        raise _got("a name without / and \\", value)
    return name


def number(low: float, high: float) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _got(f"a whole number from {low} to {high}", value)
        return value

    return check


def choice(*allowed: str) -> Check:
    def check(value: Any) -> str:
        if value not in allowed:
            raise _got("one of " + ", ".join(allowed), value)
        return str(value)

    return check


_DOMAIN = re.compile(r"^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z0-9-]{2,}$")


def domains(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise _got("a list of domains such as example.com", value)
    out = []
    for item in value:
        domain = item.strip().lower().removeprefix("@") if isinstance(item, str) else ""
        if not _DOMAIN.match(domain):
            raise _got("a domain such as example.com or *.example.com", item)
        out.append(domain)
    return tuple(out)


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in value):
        raise _got("a list of texts", value)
    return tuple(item.strip() for item in value)


def crm_id(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9-]{0,40}", value):
        raise _got("the id of a CRM record", value)
    return value


def currency(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]{3}", value):
        raise _got("an ISO code of a currency such as USD", value)
    return value.upper()


@dataclass(frozen=True, slots=True)
class BlockRule:
    """An address pattern (regular expression, whole address, any case) in a place, and what it does."""

    pattern: str
    place: Literal["any", "from", "to", "cc", "bcc"] = "any"
    action: Literal["skip_item", "skip_match"] = "skip_match"

    def matches(self, email: str, role: str) -> bool:
        place = "from" if role == "reply_to" else role
        return self.place in ("any", place) and re.fullmatch(self.pattern, email, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class ModuleRule:
    """One module that the policy enables. Names of fields are the CRM's own.

    `fields` are values for new items: texts in which {subject}, {sender}, {sender_email}, {company}, {account}, {date}
    and {date+30} (days) are replaced, or plain values. `leaf` is the form of an Assign To name with {title}, {number},
    {amount}, {status} and {account}; "" stands for the module's own form (product.md 7). `closed_field` with
    `closed_pattern` (a regular expression, the whole value, any case) says which items are closed; "" stands for what
    the CRM itself calls closed.
    """

    name: str
    create: bool = True
    assign_to: bool | None = None  # None: as the policy's assign_to
    summaries: bool | None = None
    title: str = "{subject}"
    fields: tuple[tuple[str, str | int | float | bool], ...] = ()
    leaf: str = ""
    closed_field: str = ""
    closed_pattern: str = "true"
    summary_fields: tuple[str, ...] = ()


def modules(value: Any) -> tuple[ModuleRule, ...]:
    if not isinstance(value, (list, tuple)):
        raise _got("a list of modules such as opportunity, or {name: opportunity, fields: {...}}", value)
    rules = [_module(item) for item in value]
    names = [rule.name.casefold() for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"{name}: the module stands there twice")
    return tuple(rules)


def _field_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]\w{0,79}", value):
        raise _got("the CRM's name of a field", value)
    return value


def _new_values(value: Any) -> tuple[tuple[str, str | int | float | bool], ...]:
    if not isinstance(value, Mapping) or not all(isinstance(one, (str, int, float, bool)) for one in value.values()):
        raise _got("fields with their values", value)
    return tuple((_field_name(name), one) for name, one in value.items())


def _pattern(value: Any) -> str:
    try:
        re.compile(value)
    except (re.error, TypeError) as error:
        raise _got("a regular expression", value) from error
    return str(value)


_MODULE_CHECKS: Mapping[str, Check] = {
    "name": _field_name,
    "create": flag,
    "assign_to": flag,
    "summaries": flag,
    "title": text(200),
    "fields": _new_values,
    "leaf": text(200, empty=True),
    "closed_field": _field_name,
    "closed_pattern": _pattern,
    "summary_fields": lambda value: tuple(_field_name(one) for one in texts(value)),
}


def _module(item: Any) -> ModuleRule:
    given = {"name": item} if isinstance(item, str) else item
    if not isinstance(given, Mapping) or "name" not in given:
        raise _got("a module's name, or a mapping with name", item)
    out: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _MODULE_CHECKS:
            raise OptionError(f"{given['name']}: {name}: no such setting; there are {', '.join(_MODULE_CHECKS)}")
        try:
            out[name] = _MODULE_CHECKS[name](value)
        except OptionError as error:
            raise OptionError(f"{given['name']}: {name}: {error}") from error
    return ModuleRule(**out)


def module_json(rule: ModuleRule) -> Any:
    plain = ModuleRule(rule.name)
    differs = {
        entry.name: getattr(rule, entry.name)
        for entry in dataclasses.fields(rule)
        if getattr(rule, entry.name) != getattr(plain, entry.name)
    }
    if not differs:
        return rule.name
    out = {name: list(value) if isinstance(value, tuple) else value for name, value in differs.items()}
    return {"name": rule.name, **out, **({"fields": dict(rule.fields)} if rule.fields else {})}


@dataclass(frozen=True, slots=True)
class TriggerCategory:
    """A category that files a mail in place, and what it asks for: `module` is the one to create, "" only archives."""

    name: str
    module: str = ""


ARCHIVES = "email"


def trigger_categories(value: Any) -> tuple[TriggerCategory, ...]:
    if not isinstance(value, Mapping):
        raise _got("categories with what they create: {New case: case, Log it: email}", value)
    out = []
    for name, what in value.items():
        if not label(name):
            raise _got("the name of a category", name)
        out.append(TriggerCategory(label(name), "" if what == ARCHIVES else _field_name(what)))
    if len({one.name.casefold() for one in out}) < len(out):
        raise _got("different names", sorted(one.name for one in out))
    return tuple(out)


def block_rules(value: Any) -> tuple[BlockRule, ...]:
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
        place = choice("any", "from", "to", "cc", "bcc")(item.get("place", "any"))
        action = choice("skip_item", "skip_match")(item.get("action", "skip_match"))
        rules.append(BlockRule(item["pattern"], place, action))
    return tuple(rules)

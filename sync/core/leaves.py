"""Names of Assign To leaves and amounts as people write them (product.md 7).

| module | leaf |
|---|---|
| opportunity | `[1] 3000 Widgets for Acme Corp ($120,000)` |
| case | `[1] [12934] Widget control not activating automatically on restart` |
| any other | `[1] title` |
| with a form of its own in the policy | `[1]` and the form |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from sync.core.labels import clean
from sync.modules import ModuleItem
from sync.options import ModuleRule

FORMS: Mapping[str, str] = {"opportunity": "{title} ({amount})", "case": "[{number}] {title}"}
PLAIN = "{title}"
UNTITLED = "(no title)"
_SYMBOLS: Mapping[str, str] = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩"}
_EMPTY = re.compile(r"\(\s*\)|\[\s*\]")
_HIDDEN = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")  # would turn or hide what follows


def visible(text: str) -> str:
    """Text of the CRM without what could make it read otherwise than it is written."""
    return _HIDDEN.sub("", text)


def amount(value: Decimal | None, currency: str) -> str:
    """`$120,000`, `€1,250.50`, `CHF 300`; "" for none. Cents only where there are any."""
    if value is None or not value.is_finite():
        return ""
    whole = value == value.to_integral_value()
    number = f"{abs(value):,.0f}" if whole else f"{abs(value):,.2f}"
    symbol = _SYMBOLS.get(currency, f"{currency} " if currency else "")
    return f"{'-' if value < 0 else ''}{symbol}{number}"


def title(item: ModuleItem) -> str:
    return clean(visible(item.title)) or UNTITLED


def leaf_name(item: ModuleItem, number: int, rule: ModuleRule, currency: str) -> str:
    """The whole name, not yet cut. What the item lacks leaves no empty brackets."""
    words = {
        "title": title(item),
        "number": visible(item.number),
        "amount": amount(item.amount, item.currency or currency),
        "status": visible(item.status),
        "account": visible(item.account),
    }
    form = rule.leaf or FORMS.get(item.record.kind, PLAIN)
    text = re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), form)
    return clean(f"[{number}] {_EMPTY.sub('', text)}")

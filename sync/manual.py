"""The reference of everything that can be set, rendered from the tables in the code: `python -m sync.manual`.

`docs/settings.md` is its output (`make docs`); a test compares the two, so that no option is undocumented.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from sync.declare.vendors import MAILBOX_TOKEN, VENDORS, Field
from sync.policy import OPTIONS, Option, OptionError
from sync.settings import SETTINGS

_EXAMPLE = """\
```yaml
connections:
  - name: acme mail
    vendor: google
    service_account: {file: /etc/mailspan/google.json}
  - name: acme crm
    vendor: salesforce
    consumer_key: 3MVG9...
    username: mailspan@acme.example
    private_key: {env: SALESFORCE_KEY}

policies:
  - name: sales
    crm_connection: acme crm
    mail_connection: acme mail
    options:
      match_leads: true

mailboxes:
  - address: ann@acme.example
    policy: sales
  - address: bob@acme.example
    policy: sales
    crm_user: robert@acme.example
```"""


def render() -> str:
    """The whole page, as Markdown."""
    return "\n\n".join([*_settings(), *_declaration(), *_options()]) + "\n"


def _settings() -> Iterable[str]:
    yield "# Settings"
    yield "<!-- written by `make docs` from the tables in the code -->"
    yield (
        "An installation is set up by environment variables; what it does is declared in one file"
        " ([below](#the-declared-file)).\nAll problems are reported at once."
    )
    yield "## Environment variables"
    rows = [
        (f"`{item.variable}`", item.help, _code(item.shown, item.shown == item.default)) for item in SETTINGS.values()
    ]
    yield _table(("variable", "meaning", "default"), rows)


def _declaration() -> Iterable[str]:
    yield "## The declared file"
    yield (
        "`mailspan apply FILE` makes the installation what the file says and prints what it changed.\n"
        "A wrong file changes nothing: every mistake is named with its line, and the exit status is 2.\n"
        "A mailbox that is no longer in the file is disabled, not deleted."
    )
    yield _EXAMPLE
    yield (
        "A secret is never written into the file: it is a reference, `{env: NAME}` to an environment variable or"
        " `{file: PATH}` to a file\n(relative to the declared file). It is read when the file is applied, and stored"
        " encrypted."
    )
    for name, vendor in VENDORS.items():
        yield f"### Connection to `{name}` ({vendor.side})"
        yield "Signs in with " + "; or with ".join(" and ".join(f"`{key}`" for key in way) for way in vendor.ways) + "."
        yield _fields(vendor.fields)
    yield "### Policy"
    yield _table(
        ("key", "meaning", "default"),
        [
            ("`name`", "Name of the policy.", "required"),
            ("`crm_connection` `mail_connection`", "Names of the connections it joins.", "required"),
            ("`options`", "The options below.", "their defaults"),
        ],
    )
    yield "### Mailbox"
    yield _table(
        ("key", "meaning", "default"),
        [
            ("`address`", "The user's e-mail address.", "required"),
            ("`policy`", "Name of the policy; a mailbox is in one only.", "required"),
            ("`crm_user`", "E-mail address or user name of the user in the CRM.", "the address"),
            (f"`{MAILBOX_TOKEN.name}`", MAILBOX_TOKEN.help + " Secret.", "only where the connection needs it"),
        ],
    )


def _options() -> Iterable[str]:
    yield "## Policy options"
    rows = [(f"`{item.name}`", item.help, _expected(item), _code(_plain(item.default))) for item in OPTIONS.values()]
    yield _table(("option", "meaning", "value", "default"), rows)


def _fields(fields: Sequence[Field]) -> str:
    return _table(("key", "meaning"), [(f"`{item.name}`", item.help + " Secret." * item.secret) for item in fields])


def _expected(option: Option) -> str:
    """What the option's own check says it wants, so that the page cannot differ from it."""
    try:
        option.check(object())
    except OptionError as error:
        return str(error).removeprefix("expected ").split(", got <object")[0]
    return "anything"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return str(value) or '""'


def _code(text: str, code: bool = True) -> str:
    return f"`{text}`" if code else text


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(render())

"""Why a mail was not filed: every code once, with what people read and what they can do about it.

`missing` ends in the marker for required matches, `parked` in the error marker (product.md 9 F9, 19 X2, X3). The label
is shown in the mailbox itself, so it is short and names no person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Reason:
    """`label` has at most 40 characters; `text` and `advice` are one sentence each."""

    code: str
    outcome: Literal["missing", "parked"]
    label: str
    text: str
    advice: str


_DROP_AGAIN = "Fix the cause, then drop the mail again."

_ALL = (
    # nobody to relate the mail to
    Reason(
        "no_address",
        "parked",
        "No usable address",
        "The mail names no sender or recipient with a complete e-mail address.",
        "Forward it to yourself from a working address, or file it by hand.",
    ),
    Reason(
        "internal_only",
        "missing",
        "Internal only",
        "Everybody in this mail belongs to your own company, and the policy asks for a contact or lead.",
        "Turn must_match off to file internal mail, or user_exclusivity to treat colleagues as contacts.",
    ),
    Reason(
        "no_match",
        "missing",
        "Nobody known",
        "No contact or lead has one of these addresses, and the policy creates none.",
        "Create the contact in the CRM, then drop the mail again, or turn create_missing on.",
    ),
    Reason(
        "creation_blocked",
        "missing",
        "Creation blocked",
        "Nobody is known, and people of these domains are not created (creation_block_domains).",
        "Create the contact in the CRM, then drop the mail again, or change creation_block_domains.",
    ),
    Reason(
        "all_blocked",
        "missing",
        "All addresses blocked",
        "A block rule excludes every address that could have matched.",
        "Change block_rules, then drop the mail again.",
    ),
    Reason(
        "blocked",
        "missing",
        "Blocked by a rule",
        "A block rule excludes the whole mail.",
        "Change block_rules if this mail belongs into the CRM, then drop it again.",
    ),
    Reason(
        "report_no_match",
        "missing",
        "Report about nobody known",
        "This is a delivery report or read receipt, and nobody that it names is known in the CRM.",
        "Create the contact in the CRM, then drop the report again; reports never create people.",
    ),
    Reason(
        "address_unfit",
        "missing",
        "Address does not fit the CRM",
        "The CRM does not take an unknown address of this mail, so nobody was created for it.",
        "Create the contact by hand with another address of the person.",
    ),
    # the mail itself
    Reason(
        "not_mail",
        "parked",
        "Not an e-mail",
        "The item has neither addresses nor a subject nor a date: it cannot be read as a mail.",
        "Remove it from the label, or file its content by hand.",
    ),
    Reason(
        "too_large",
        "parked",
        "Too large",
        "The mail is larger than the CRM or the connection takes.",
        "Lower attachment_max_mb or turn attachments off, then retry.",
    ),
    Reason(
        "gone",
        "parked",
        "Mail is gone",
        "The mail was deleted before it could be read.",
        "Restore it from the bin and drop it again.",
    ),
    # the CRM said no
    Reason(
        "rejected",
        "parked",
        "Refused by the CRM",
        "The CRM refused the record.",
        "See the trace of the mail for what the CRM said. " + _DROP_AGAIN,
    ),
    Reason(
        "duplicate",
        "parked",
        "Duplicate rule",
        "A duplicate rule of the CRM refused a person or account that was to be created.",
        "Merge or correct the existing records, then drop the mail again.",
    ),
    Reason(
        "required_field",
        "parked",
        "Required field missing",
        "The CRM demands a field that the mail cannot fill.",
        "Ask the administrator for a default value of that field, then retry.",
    ),
    Reason(
        "validation_rule",
        "parked",
        "Validation rule",
        "A validation rule or trigger of the CRM refused a record.",
        "Ask the administrator about the rule that the trace names, then retry.",
    ),
    Reason(
        "not_permitted",
        "parked",
        "Not permitted",
        "The CRM user may not create or relate one of the records.",
        "Ask the administrator for the permission, then retry.",
    ),
    Reason(
        "no_owner",
        "parked",
        "No CRM user",
        "No active CRM user belongs to this mailbox, so nobody could own the record.",
        "Ask the administrator to connect the mailbox with a CRM user, then retry.",
    ),
    Reason(
        "unsupported",
        "parked",
        "Not supported",
        "This CRM or mail system cannot do what the drop asks for.",
        "Choose another drop label.",
    ),
    # module items
    Reason(
        "module_off",
        "parked",
        "Module is off",
        "The policy does not enable this kind of item any more, or the CRM does not show it.",
        "Ask the administrator to enable the module, or choose another drop label.",
    ),
    Reason(
        "item_gone",
        "parked",
        "Item is gone",
        "The item was deleted in the CRM, or the user cannot see it any more.",
        "Choose another item, or restore it in the CRM and retry.",
    ),
    Reason(
        "many_triggers",
        "parked",
        "Too many at once",
        "More mails got the trigger category within a minute than a person sets: a rule or a program did it.",
        "If they all belong into the CRM, retry them, or raise trigger_burst.",
    ),
    # our own end
    Reason(
        "too_many_attempts",
        "parked",
        "Tried too often",
        "Filing was tried several times and never finished.",
        "See the trace of the mail, then retry.",
    ),
    Reason(
        "internal_error",
        "parked",
        "Internal error",
        "Mailspan failed on this mail; the log has the details.",
        "Report the mail's trace; retry after an update.",
    ),
)

REASONS: Mapping[str, Reason] = {reason.code: reason for reason in _ALL}


def reason(code: str) -> Reason:
    """The reason of a code; one that is not known (an older or newer version's) reads as `rejected`."""
    return REASONS.get(code, REASONS["rejected"])

"""Types of the resources as tables: what may be selected, filtered, sorted, created and changed.

A row is ``name kind flags``. Flags: ``f`` may stand in $filter, ``s`` in $orderby, ``c`` counts in a creation, ``p``
may be patched always, ``d`` may be patched while the message is a draft (`providers.md GR-9`), ``o`` comes only when it
is selected. A property without ``c`` in a creation is read-only: Graph passes over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.microsoft.errors import bad_request
from sandbox.microsoft.graph.values import READERS

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Property:
    """One row of a table."""

    name: str
    kind: str
    flags: str


def _table(text: str) -> dict[str, Property]:
    rows = (line.split() for line in text.strip().splitlines())
    return {row[0]: Property(row[0], row[1], row[2] if len(row) > 2 else "") for row in rows}


EXTENDED = {
    "singleValueExtendedProperties": Property("singleValueExtendedProperties", "extended", "fcpo"),
    "multiValueExtendedProperties": Property("multiValueExtendedProperties", "list", "o"),
}
MESSAGE = (
    _table("""
createdDateTime date fs
lastModifiedDateTime date fs
changeKey text
categories texts fcp
receivedDateTime date fs
sentDateTime date fs
hasAttachments bool f
internetMessageId text fcd
subject text fscd
bodyPreview text
importance importance fscp
parentFolderId text f
conversationId text f
conversationIndex binary
isDeliveryReceiptRequested bool cp
isReadReceiptRequested bool cp
isRead bool fcp
isDraft bool f
webLink text
inferenceClassification inference fcp
body body cd
sender recipient fscd
from recipient fscd
toRecipients recipients fcp
ccRecipients recipients fcp
bccRecipients recipients fcp
replyTo recipients cd
flag flag fcp
uniqueBody body o
internetMessageHeaders headers co
attachments attachments co
extensions list o
""")
    | EXTENDED
)
FOLDER = (
    _table("""
displayName text fscp
parentFolderId text f
childFolderCount int fs
unreadItemCount int fs
totalItemCount int fs
isHidden bool fc
childFolders list o
messages list o
messageRules list o
""")
    | EXTENDED
)
CATEGORY = _table("""
displayName text c
color color cp
""")
USER = _table("""
displayName text fs
givenName text f
surname text f
jobTitle text f
mail text fs
mobilePhone text
officeLocation text
preferredLanguage text
businessPhones texts
userPrincipalName text fs
accountEnabled bool fo
proxyAddresses texts fo
mailboxSettings list o
""")
EVENT_MESSAGE = _table("""
meetingMessageType text
startDateTime moment
endDateTime moment
location list
type text
isOutOfDate bool
isAllDay bool
isDelegated bool
recurrence list
""")
SUBSCRIPTION = _table("""
changeType text c
notificationUrl text cp
lifecycleNotificationUrl text c
resource text c
expirationDateTime date cp
clientState text c
latestSupportedTlsVersion text c
includeResourceData bool c
encryptionCertificate text c
encryptionCertificateId text c
notificationQueryOptions text
notificationUrlAppId text
applicationId text
creatorId text
""")
ATTACHMENT = _table("""
name text c
contentType text c
size int
isInline bool c
lastModifiedDateTime date
contentBytes binary c
contentId text c
contentLocation text c
item list co
""")
TYPES = {
    "message": MESSAGE,
    "mailFolder": FOLDER,
    "outlookCategory": CATEGORY,
    "user": USER,
    "subscription": SUBSCRIPTION,
    "attachment": ATTACHMENT,
}


def read_body(kind: str, body: Any, wanted: str) -> Json:
    """The typed members of a body that count for a creation ("c") or a change ("pd"); read-only ones are left out.

    GraphError 400 for a property that the type does not have and for a value of another type (`providers.md SIM-4`).
    """
    if not isinstance(body, dict):
        raise bad_request(
            "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is "
            "of valid JSON format."
        )
    table, out = TYPES[kind], {}
    for name, value in body.items():
        row = table.get(name)
        if row is None and (name == "id" or "@" in name):
            continue
        if row is None:
            raise bad_request(
                f"The property '{name}' does not exist on type 'microsoft.graph.{kind}'. Make sure to "
                "only use property names that are defined by the type.",
                "RequestBodyRead",
            )
        if any(flag in row.flags for flag in wanted):
            out[name] = READERS[row.kind](name, value)
    return out

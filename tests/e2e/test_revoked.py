"""Grants that end, as each vendor ends them: the mailboxes concerned are parked and say why, the others go on, and
after the cure `apply` resumes them: what waits is filed once.

| fault | where it shows | parked | the admin sees |
| --- | --- | --- | --- |
| Google: the user takes the grant back | `invalid_grant` at the refresh | that mailbox | `invalid_grant` |
| Microsoft: the administrator revokes it | 401, then `invalid_grant` at the refresh | that mailbox | `invalid_grant` |
| Salesforce: the sessions end | 401 `INVALID_SESSION_ID` | none: signed in again once | nothing |
| Salesforce: the permission set is taken away | `invalid_app_access` | all | that |
| Salesforce: the integration user is deactivated | `invalid_grant` | all | that |
"""

from __future__ import annotations

import itertools
import json
import ssl
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.inprocess import look
from tests.e2e.installation import DONE, DROP, OPTIONS, Installation, letter, query, quoted
from tests.sandboxed import Json, Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ANNA, BEN, ERIK, PRIYA = USERS = tuple(f"{name}@northpeak.example" for name in ("anna", "ben", "erik", "priya"))
NUMBERS = itertools.count(1)
Mails = dict[str, tuple[str, str]]  # Message-ID -> mailbox, id


class Granted(Installation):
    """Every mailbox brings the grant of its user."""

    def declaration(self) -> Json:
        found = super().declaration()
        google = self.sandbox.ready["google"]
        for connection in found["connections"]:
            if connection["vendor"] == "google":
                del connection["service_account"]
                connection |= {
                    "client_id": google["client_id"],
                    "client_secret": self.hidden("google", google["client_secret"]),
                }
            elif connection["vendor"] == "microsoft":
                connection["access"] = "user"
        for mailbox in found["mailboxes"]:
            mailbox["refresh_token"] = self.hidden(mailbox["address"], self.grants[mailbox["address"]])
        return found

    def hidden(self, name: str, secret: str) -> Json:
        """Declared by its file."""
        path = self.folder / f"{name}.secret"
        path.write_text(secret)
        return {"file": str(path)}

    @property
    def grants(self) -> dict[str, str]:
        return self.__dict__.setdefault("_grants", {user: self.consent(user) for user in self.mailboxes})

    def consent(self, user: str) -> str:
        """The user agrees (again); the refresh token."""
        if not self.in_outlook(user):
            return str(self.sandbox.control("GET", "/")["google"]["refresh_tokens"][user])
        found = self.sandbox.ready["microsoft"]
        tls = ssl.create_default_context(cafile=self.sandbox.ca)

        def post(endpoint: str, **form: str) -> Json:
            data = urllib.parse.urlencode({"client_id": found["client_id"], **form}).encode()
            url = f"{found['authority']}/oauth2/v2.0/{endpoint}"
            with urllib.request.urlopen(url, data, timeout=10, context=tls) as answer:
                return dict(json.load(answer))

        device = post("devicecode", scope="offline_access Mail.ReadWrite MailboxSettings.ReadWrite")
        self.sandbox.act("microsoft", "device_sign_in", user=user, user_code=device["user_code"])
        grant, secret = "urn:ietf:params:oauth:grant-type:device_code", found["client_secret"]
        answer = post("token", grant_type=grant, device_code=device["device_code"], client_secret=secret)
        return str(answer["refresh_token"])

    @property
    def onlooker(self) -> str:
        """A CRM user whose session no case ends."""
        return next(name for name in self.sandbox.ready["salesforce"]["tokens"] if name.startswith("anna"))

    # ---- how grants end, and how that is mended

    def act(self, action: str, vendor: str = "salesforce", **body: object) -> None:
        self.sandbox.act(vendor, action, **body)

    def google_ends(self) -> None:
        self.act("revoke", "google", user=ANNA)
        self.act("expire_tokens", "google", user=ANNA)

    def google_mended(self) -> None:
        self.grants[ANNA] = self.consent(ANNA)

    def microsoft_ends(self) -> None:
        self.act("revoke", "microsoft", user=ERIK)
        self.act("expire_tokens", "microsoft", user=ERIK)

    def microsoft_mended(self) -> None:
        self.act("restore", "microsoft", user=ERIK)
        self.grants[ERIK] = self.consent(ERIK)

    def sessions_end(self) -> None:
        self.act("end_sessions", user=self.crm_user)

    def right_ends(self) -> None:
        self.act("authorise", user=self.crm_user, on=False)
        self.sessions_end()

    def right_mended(self) -> None:
        self.act("authorise", user=self.crm_user, on=True)

    def activate(self, *, on: bool) -> None:
        soql = f"SELECT Id FROM User WHERE Username = '{self.crm_user}'"
        (row,) = query(self.sandbox, self.onlooker, soql)
        self.act("edit", object="User", id=row["Id"], fields={"IsActive": on})

    def user_ends(self) -> None:
        self.activate(on=False)

    def user_mended(self) -> None:
        self.activate(on=True)


@dataclass(frozen=True)
class Case:
    end: Callable[[Granted], None]
    mend: Callable[[Granted], None]
    parked: tuple[str, ...]
    reason: str = ""


CASES = {
    "Google's grant": Case(Granted.google_ends, Granted.google_mended, (ANNA,), "invalid_grant"),
    "Microsoft's grant": Case(Granted.microsoft_ends, Granted.microsoft_mended, (ERIK,), "invalid_grant"),
    "Salesforce's sessions": Case(Granted.sessions_end, Granted.right_mended, ()),
    "Salesforce's permission set": Case(Granted.right_ends, Granted.right_mended, USERS, "invalid_app_access"),
    "Salesforce's user": Case(Granted.user_ends, Granted.user_mended, USERS, "invalid_grant"),
}


@pytest.fixture(scope="module")
def office(sandbox_process: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granted]:
    sandbox_process.reset()
    sandbox_process.settings(gmail_quota=False)
    folder = tmp_path_factory.mktemp("revoked")
    environ = {"MAILSPAN_REDIS_URL": f"unix://{folder}/nobody.sock"}
    found = Granted(sandbox_process, folder, f"sqlite:///{folder / 'mailspan.sqlite3'}", USERS, environ, OPTIONS)
    found.apply()
    assert ends(found) == dict.fromkeys(USERS, "done")
    yield found
    found.close()


def ends(office: Granted) -> dict[str, str]:
    """Every mailbox is looked at until it has nothing to do; how the last look ended."""
    out: dict[str, str] = {}
    for user in office.mailboxes:
        for ahead in range(10):
            out[user] = look(office.app, office.mailbox_id(user), 2.0 * ahead).ended
            if out[user] != "done" or all(office.desk(user).ended(key) for key in lying(office, user)):
                break
    return out


def lying(office: Granted, user: str) -> list[str]:
    return [mail["id"] for mail in office.desk(user).mails() if DROP in mail["labels"]]


def drop(office: Granted) -> Mails:
    out = {}
    for user in office.mailboxes:
        desk, message_id = office.desk(user), f"<revoked{next(NUMBERS)}@partner.example>"
        mail = desk.deliver(letter("laura.keller@partner.example", user, "Offer", message_id))
        desk.drop(mail)
        out[message_id] = (user, mail)
    return out


@pytest.mark.parametrize("name", CASES)
def test_a_grant_that_ends_parks_whom_it_concerns_until_it_is_mended(office: Granted, name: str) -> None:
    case, mails = CASES[name], drop(office)
    case.end(office)
    assert ends(office) == {user: "parked" if user in case.parked else "done" for user in USERS}
    told = {row["address"]: (row["state"], row["reason"] or "") for row in office.told("status")["mailboxes"]}
    for user, mail in mails.values():
        state, reason = told[user]
        assert state == ("parked" if user in case.parked else "active")
        assert case.reason in reason if user in case.parked else not reason
        assert office.desk(user).ended(mail) == (user not in case.parked)
    assert set(ends(office).values()) <= {"done", "elsewhere"}, "a parked mailbox is not looked at"

    case.mend(office)
    resumed = [change for change in office.apply()["changes"] if change["kind"] == "mailbox"]
    assert {change["name"] for change in resumed} == set(case.parked)
    assert ends(office) == dict.fromkeys(USERS, "done")
    for user, mail in mails.values():
        (marks,) = office.desk(user).marks(mail)
        assert DONE in marks
        assert office.desk(user).at_home(marks)
    soql = f"SELECT Id, MessageIdentifier FROM EmailMessage WHERE MessageIdentifier IN ({quoted(*mails)})"
    filed = [row["MessageIdentifier"] for row in query(office.sandbox, office.onlooker, soql)]
    assert sorted(filed) == sorted(mails)

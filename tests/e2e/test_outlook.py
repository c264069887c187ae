"""What is particular to Outlook, with the CRM at the other end: one mail in two mail systems, categories, copies,
folders that users rename, move and delete, policies that change.

Engine and adapters run in this process on one world for the whole file; each test takes mails of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from sync import settings
from sync.wiring import App
from tests.e2e.inprocess import declared, look, wake
from tests.e2e.installation import (
    DONE,
    DROP,
    ENDS,
    FAILED,
    Desk,
    Installation,
    OutlookDesk,
    letter,
    query,
    quoted,
    records,
)
from tests.sandboxed import ROOT, Json, Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

GMAIL = tuple(f"{name}@northpeak.example" for name in ("anna", "ben", "maria"))
OUTLOOK = tuple(f"{name}@northpeak.example" for name in ("erik", "priya", "tom"))
ERIK, PRIYA, TOM = OUTLOOK
WRITER = "laura.keller@example.com"
TRIGGER = "Track in CRM"
ORDERS = ("gmail first", "outlook first", "at once")
SWEPT = 700.0  # seconds ahead: the next look at the whole tree is due
BIN = "Deleted Items"
NO_MAIL = FAILED + "/Not an e-mail"


@pytest.fixture(scope="module")
def office(sandbox_process: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    sandbox_process.reset()
    sandbox_process.advance(10)  # what is put on the seeded mails from now on did not come with them
    with declared(sandbox_process, tmp_path_factory.mktemp("office"), (*GMAIL, *OUTLOOK)) as installation:
        yield installation


def outlook(office: Installation, address: str) -> OutlookDesk:
    desk = office.desk(address)
    assert isinstance(desk, OutlookDesk)
    return desk


def filed(office: Installation, *message_ids: str) -> int:
    return len(records(office.sandbox, office.crm_user, *message_ids))


def arrive(desk: Desk, name: str, *labels: str) -> tuple[str, str]:
    """A new mail: its id, and its Message-ID."""
    message_id = f"<{name.replace(' ', '-').lower()}@partner.example>"
    return desk.deliver(letter(WRITER, desk.address, name, message_id), *labels), message_id


# --- one mail, two systems ----------------------------------------------------------------------------------------


def mixed() -> list[tuple[str, list[str]]]:
    """Message-ID and mailboxes of every seeded mail with a story that lies in both mail systems."""
    seed = yaml.load((ROOT / "sandbox/seed/organisation.yaml").read_bytes(), yaml.CSafeLoader)
    kinds = {user["email"]: user["mail"] for user in seed["users"]}
    places = {entry["file"]: list(entry["in"]) for entry in seed["mail"]}
    ids = {file: key for s in seed["stories"].values() for file, key in zip(s["files"], s["message_ids"], strict=True)}
    return [
        (key, places[file])
        for file, key in sorted(ids.items())
        if key and {"google", "microsoft"} <= {kinds.get(address) for address in places[file]}
    ]


def at_once(office: Installation) -> None:
    """Two workers, each with connections of its own, one at every Gmail mailbox and one at every Outlook mailbox."""
    start = threading.Barrier(2)
    apps = [App(settings.load(office.environ)) for _ in range(2)]

    def work(app: App, users: Sequence[str]) -> None:
        start.wait(10)
        for user in users:
            look(app, office.mailbox_id(user), worker=users[0])

    try:
        with ThreadPoolExecutor() as pool:
            for each in [pool.submit(work, app, users) for app, users in zip(apps, (GMAIL, OUTLOOK), strict=True)]:
                each.result(60)
    finally:
        for app in apps:
            app.close()


@pytest.mark.parametrize("order", ORDERS)
def test_a_mail_in_both_systems_is_one_record_with_every_user(office: Installation, order: str) -> None:
    mine = mixed()[ORDERS.index(order) :: len(ORDERS)]
    assert len(mine) >= 3
    mails = {key: [(office.desk(user), office.desk(user).find(key)) for user in users] for key, users in mine}
    for places in mails.values():
        for desk, mail in places:
            desk.drop(mail)
    if order == "at once":
        at_once(office)
    users = [*OUTLOOK, *GMAIL] if order == "outlook first" else [*GMAIL, *OUTLOOK]
    wake(office, *users, until=lambda: all(d.ended(m) for places in mails.values() for d, m in places))

    ids = {row["Email"]: row["Id"] for row in query(office.sandbox, office.crm_user, "SELECT Id, Email FROM User")}
    for key, places in mails.items():
        assert all(DONE in desk.marks(mail)[0] for desk, mail in places), key
        (record,) = records(office.sandbox, office.crm_user, key)
        soql = f"SELECT RelationId FROM EmailMessageRelation WHERE EmailMessageId = {quoted(record)}"
        related = [row["RelationId"] for row in query(office.sandbox, office.crm_user, soql)]
        assert {ids[desk.address] for desk, _ in places} <= set(related), key


# --- categories -----------------------------------------------------------------------------------------------------


def test_a_category_files_a_mail_where_it_lies_and_leaves_all_else(office: Installation) -> None:
    desk = outlook(office, ERIK)
    colours = desk.box()["categories"]
    own = {name: colours[name] for name in ("Key customer", "Forecast")}
    chosen: list[Json] = []
    for folder in ("Inbox", "Sent Items", "Customers"):
        free = [mail for mail in desk.mails() if mail["folder"] == folder and not ENDS & set(mail["labels"])]
        chosen.append(free[-1])
    for mail in chosen:
        desk.act("set_categories", message=mail["id"], add=["Forecast", TRIGGER, "Of no list"])
        desk.act("flag", message=mail["id"])
    keys = [mail["id"] for mail in chosen]
    wake(office, ERIK, until=lambda: desk.ended(*keys))
    after = {mail["id"]: mail for mail in desk.mails()}
    for mail in chosen:
        found = after[mail["id"]]
        kept = [name for name in mail["categories"] if name != "Forecast"]
        assert found["folder"] == mail["folder"]
        assert [name for name in found["categories"] if name in kept] == kept
        assert {"Forecast", "Of no list", DONE} <= set(found["categories"])
        assert TRIGGER not in found["categories"]
        assert (found["flag"], found["isRead"]) == ("flagged", mail["isRead"])
        assert filed(office, mail["messageId"]) == 1
    colours = desk.box()["categories"]
    assert {name: colours[name] for name in own} == own
    assert "Of no list" not in colours


def test_a_mail_that_arrives_wearing_the_category_is_filed_only_when_the_user_sets_it(office: Installation) -> None:
    desk = outlook(office, PRIYA)
    trap, key = arrive(desk, "A trap", TRIGGER, "Key customer")
    wake(office, PRIYA)
    wake(office, PRIYA)
    assert desk.marks(trap) == [{"Inbox", TRIGGER, "Key customer"}]
    look(office.app, office.mailbox_id(PRIYA), SWEPT)  # the whole level tells nothing else
    assert desk.marks(trap) == [{"Inbox", TRIGGER, "Key customer"}]
    assert filed(office, key) == 0
    desk.act("set_categories", message=trap, remove=[TRIGGER])
    wake(office, PRIYA)
    desk.act("set_categories", message=trap, add=[TRIGGER])
    wake(office, PRIYA, until=lambda: desk.ended(trap))
    assert desk.marks(trap) == [{"Inbox", "Key customer", DONE}]
    assert filed(office, key) == 1


def test_a_copy_is_removed_and_its_original_marked(office: Installation) -> None:
    desk = outlook(office, TOM)
    mails = [arrive(desk, name, "On site") for name in ("Copied one", "Copied two")]
    desk.act("drop", message=mails[1][0], to="Spare parts")
    before = len(desk.mails())
    copies = [desk.act("drop", message=mail, to=DROP, copy=True)["immutableId"] for mail, _ in mails]
    wake(office, TOM, until=lambda: desk.ended(*(mail for mail, _ in mails)))
    assert desk.marks(*(mail for mail, _ in mails)) == [{"Inbox", "On site", DONE}, {"Spare parts", "On site", DONE}]
    here = {mail["id"]: mail["folder"] for mail in desk.mails() if mail["folder"] != BIN}
    assert not here.keys() & set(copies)
    assert len(here) <= before
    assert filed(office, *(key for _, key in mails)) == 2


# --- folders --------------------------------------------------------------------------------------------------------


def test_a_drop_folder_that_the_user_renames_and_moves_still_files(office: Installation) -> None:
    desk = outlook(office, PRIYA)
    (folder,) = (key for key, path in desk.box()["folders"].items() if path == DROP)
    desk.act("rename_folder", folder=folder, name="Ablage")
    desk.act("move_folder", folder=folder, to="Inbox")
    mail, key = arrive(desk, "To the renamed")
    desk.drop(mail, folder)
    wake(office, PRIYA, until=lambda: DONE in desk.marks(mail)[0])
    assert desk.marks(mail) == [{"Inbox", DONE}]
    look(office.app, office.mailbox_id(PRIYA), SWEPT)
    folders = desk.box()["folders"]
    assert folders[folder] == "Inbox/Ablage"
    assert DROP not in folders.values()
    assert filed(office, key) == 1


def test_a_deleted_drop_folder_comes_back_and_what_lies_in_the_bin_stays_there(office: Installation) -> None:
    desk = outlook(office, TOM)
    (folder,) = (key for key, path in desk.box()["folders"].items() if path == DROP)
    thrown, key = arrive(desk, "Thrown away")
    desk.drop(thrown)
    desk.act("delete_folder", folder=folder)
    look(office.app, office.mailbox_id(TOM), SWEPT)
    folders = desk.box()["folders"]
    assert list(folders.values()).count(DROP) == 1
    assert folders[folder].startswith(BIN)
    assert not desk.marks(thrown)[0] & ENDS
    assert filed(office, key) == 0
    mail, key = arrive(desk, "To the new folder")
    desk.drop(mail)
    wake(office, TOM, until=lambda: desk.ended(mail))
    assert desk.marks(mail) == [{"Inbox", DONE}]
    assert filed(office, key) == 1


# --- what is no mail ------------------------------------------------------------------------------------------------


def test_a_draft_and_an_item_without_mime_end_in_a_stated_way(office: Installation) -> None:
    desk = outlook(office, ERIK)
    raw = letter(ERIK, WRITER, "Not sent yet", "<draft@northpeak.example>")
    draft = desk.act("deliver", raw=raw.decode(), folder="drafts")["immutableId"]
    refused, key = arrive(desk, "Cannot be converted")
    path = r"^/v1\.0/.*/messages/[^/]+/\$value"
    desk.sandbox.fault("status", vendor="microsoft", user=ERIK, path=path, status=400, count=None)
    try:
        for mail in (draft, refused):
            desk.drop(mail)
        wake(office, ERIK, until=lambda: desk.ended(draft, refused))
    finally:
        desk.sandbox.clear_faults()
    assert desk.marks(draft, refused) == [{"Drafts", FAILED, NO_MAIL}, {"Inbox", FAILED, NO_MAIL}]
    assert filed(office, key, "<draft@northpeak.example>") == 0


# --- another policy -------------------------------------------------------------------------------------------------

NEW = {"master_label": "Pipeline", "done_marker": "Filed", "error_marker": "Not filed"}


def test_a_policy_with_other_names_renames_the_tree_and_files_what_lies_in_it(office: Installation) -> None:
    gmail, ours = office.desk(GMAIL[0]), outlook(office, ERIK)
    old = [(desk, *arrive(desk, f"Before {desk.address}")) for desk in (gmail, ours)]
    for desk, mail, _ in old:
        desk.drop(mail)
    draft = ours.act("deliver", raw=letter(ERIK, WRITER, "Draft", "<d@x.example>").decode(), folder="drafts")
    ours.drop(draft["immutableId"])  # a marker with a reason below it
    wake(office, GMAIL[0], ERIK, until=lambda: all(desk.ended(mail) for desk, mail, _ in old))
    assert NO_MAIL in ours.marks(draft["immutableId"])[0]
    labels, folders, categories = gmail.box()["labels"], ours.box()["folders"], ours.box()["categories"]
    during = [(desk, *arrive(desk, f"During {desk.address}")) for desk in (gmail, ours)]
    for desk, mail, _ in during:
        desk.drop(mail)

    usual = office.options
    office.options = {**usual, **NEW}
    try:
        assert {change["change"] for change in office.apply()["changes"]} == {"changed"}
        wake(office, GMAIL[0], ERIK, until=lambda: all("Filed" in desk.marks(mail)[0] for desk, mail, _ in during))
        assert office.apply() == {"changes": []}
        assert gmail.box()["labels"] == {key: renamed(name) for key, name in labels.items()}
        assert ours.box()["folders"] == {key: renamed(path) for key, path in folders.items()}
        # Categories are their names: the old ones stay for the mails that wear them.
        assert ours.box()["categories"] == {**categories, **{marker(name): c for name, c in categories.items()}}
        assert "Filed" in gmail.marks(old[0][1])[0]
        assert DONE in ours.marks(old[1][1])[0]
        late = [(desk, *arrive(desk, f"After {desk.address}")) for desk in (gmail, ours)]
        for desk, mail, _ in late:
            desk.drop(mail, renamed(DROP))
        wake(office, GMAIL[0], ERIK, until=lambda: all("Filed" in desk.marks(mail)[0] for desk, mail, _ in late))
        for desk, _, key in (*old, *during, *late):
            assert filed(office, key) == 1, (desk.address, key)
    finally:
        office.options = usual
        office.apply()
    wake(office, GMAIL[0], ERIK)
    assert (gmail.box()["labels"], ours.box()["folders"]) == (labels, folders)


def renamed(path: str) -> str:
    """A label's or folder's path in the new tree."""
    top, slash, below = path.partition("/")
    return {"Salesforce": "Pipeline", DONE: "Filed", FAILED: "Not filed"}.get(top, top) + slash + below


def marker(name: str) -> str:
    """A category's name in the new tree."""
    top, colon, reason = name.partition(": ")
    return {DONE: "Filed", FAILED: "Not filed"}.get(top, top) + colon + reason

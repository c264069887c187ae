"""Declared connections, policies and mailboxes."""

from __future__ import annotations

import pytest

from sync.store.database import StoreError
from sync.store.store import Store
from tests.store.conftest import NOW, Site


def test_a_connection_is_created_changed_and_left_alone(site: Site) -> None:
    store = site.store
    same = ("crm", "salesforce", {"login_url": "https://crm.example"}, {"key": "s3cret"})
    assert store.put_connection(*same).state == "unchanged"
    change = store.put_connection("crm", "salesforce", {"login_url": "https://b.example", "x": 1}, {"key": "new"})
    assert (change.id, change.state) == (site.crm, "changed")
    assert change.fields == ("settings.login_url", "settings.x", "secrets")
    found = store.connection(site.crm)
    assert (found.vendor, found.settings["x"], found.secrets) == ("salesforce", 1, {"key": "new"})
    assert "new" not in repr(found)
    assert store.connection("crm") == found
    assert [one.name for one in store.connections()] == ["crm", "mail"]
    assert store.connection("nobody") is None
    with pytest.raises(StoreError, match="no connection 99"):
        store.connection(99)


def test_a_changed_connection_is_active_again(site: Site) -> None:
    site.store.mark_connection(site.crm, "parked", "denied")
    parked = site.store.connection(site.crm)
    assert (parked.status, parked.status_reason) == ("parked", "denied")
    site.store.put_connection("crm", "salesforce", {}, {"key": "new"})
    active = site.store.connection(site.crm)
    assert (active.status, active.status_reason) == ("active", None)


def test_a_policy_counts_its_versions(site: Site) -> None:
    store = site.store
    assert store.put_policy("sales", {"match_leads": True}, site.crm, site.mail).state == "unchanged"
    change = store.put_policy("sales", {"internal_domains": ("acme.example",)}, "crm", "crm")
    assert change.fields == ("options.internal_domains", "options.match_leads", "mail_connection")
    assert store.put_policy("sales", {"internal_domains": ("acme.example",)}, "crm", "crm").state == "unchanged"
    found = store.policy("sales")
    assert found is not None
    assert (found.version, found.options) == (2, {"internal_domains": ["acme.example"]})
    assert store.policies() == [found]
    assert store.policy(site.policy) == store.policy_of(site.ann) == store.policy_of(store.mailbox(site.bob)) == found
    assert store.policy("none") is None
    with pytest.raises(StoreError, match="no mailbox 99"):
        store.policy_of(99)
    with pytest.raises(StoreError, match="no connection 'nobody'"):
        store.put_policy("other", {}, "nobody", "mail")


def test_a_mailbox_is_known_by_its_address_in_any_case(site: Site) -> None:
    store = site.store
    assert store.put_mailbox(" Ann@ACME.example ", "sales", "ann@crm.example").state == "unchanged"
    found = store.mailbox_by_address("ANN@acme.example")
    assert found is not None
    assert (found.id, found.address, found.crm_user, found.token) == (
        site.ann,
        "ann@acme.example",
        "ann@crm.example",
        None,
    )
    assert "ann" not in repr(found)
    assert store.mailbox_by_address("nobody@acme.example") is None
    with pytest.raises(StoreError, match="no mailbox 99"):
        store.mailbox(99)


def test_a_changed_mailbox_is_woken_and_keeps_its_token(site: Site) -> None:
    store = site.store
    assert store.put_mailbox("bob@acme.example", "sales", None, "t1").fields == ("token",)
    assert store.put_mailbox("bob@acme.example", "sales", "bob@crm.example").fields == ("crm_user",)
    assert store.put_mailbox("bob@acme.example", "sales", "bob@crm.example", "t1").state == "unchanged"
    other = store.put_policy("other", {}, "crm", "mail").id
    assert store.put_mailbox("bob@acme.example", "other", "bob@crm.example").fields == ("policy",)
    bob = store.mailbox(site.bob)
    assert (bob.token, bob.dirty, bob.policy_id) == ("t1", 3, other)
    assert [one.id for one in store.mailboxes(site.policy)] == [site.ann]
    assert [one.id for one in store.mailboxes()] == [site.ann, site.bob]


def test_the_crm_user_is_asked_for_again_when_it_may_be_another(site: Site) -> None:
    store = site.store

    def learn() -> None:
        lease = site.lease()
        with store.under(lease, NOW, 60) as tx:
            tx.set_user("005A")
        store.give_back(lease, NOW)
        assert store.mailbox(site.ann).crm_user_id == "005A"

    learn()
    store.put_policy("sales", {"match_leads": False}, "crm", "mail")
    store.put_mailbox("ann@acme.example", "sales", "ann@crm.example", "t2")
    assert store.mailbox(site.ann).crm_user_id == "005A"
    store.put_mailbox("ann@acme.example", "sales", "hanna@crm.example")
    assert store.mailbox(site.ann).crm_user_id is None
    learn()
    store.put_connection("other crm", "salesforce", {}, {})
    store.put_policy("sales", {"match_leads": False}, "other crm", "mail")
    assert store.mailbox(site.ann).crm_user_id is None


def test_a_disabled_mailbox_rests_until_it_is_declared_again(site: Site) -> None:
    store = site.store
    assert store.disable_mailbox("Bob@acme.example", "not in the file")
    assert not store.disable_mailbox(site.bob)
    assert (store.mailbox(site.bob).status, store.mailbox(site.bob).status_reason) == ("disabled", "not in the file")
    store.wake(site.bob, urgent=True)
    assert store.due(NOW, 10) == [site.ann]
    assert store.lease(site.bob, "w", 60, NOW) is None
    change = store.put_mailbox("bob@acme.example", "sales")
    assert (change.state, change.fields) == ("changed", ("status",))
    assert (store.mailbox(site.bob).status, store.mailbox(site.bob).status_reason) == ("new", None)
    assert store.due(NOW, 10) == [site.bob, site.ann]


def test_a_disabled_mailbox_lets_its_running_wake_end(site: Site) -> None:
    lease = site.lease()
    site.store.disable_mailbox(site.ann)
    with site.store.under(lease, NOW, 60) as tx:
        tx.set_cursor("mail", "7")
    assert site.store.release(lease, NOW, next_due=NOW)
    assert site.store.mailbox(site.ann).status == "disabled"
    assert site.ann not in site.store.due(NOW + 999, 10)


def test_a_change_ends_parking(site: Site) -> None:
    site.store.park_mailbox(site.lease(), "access was revoked")
    assert site.store.put_mailbox("ann@acme.example", "sales", "ann@crm.example").state == "unchanged"
    assert site.store.mailbox(site.ann).status == "parked"
    site.store.put_mailbox("ann@acme.example", "sales", "ann@crm.example", token="new")
    assert (site.store.mailbox(site.ann).status, site.store.mailbox(site.ann).status_reason) == ("active", None)


def test_two_declare_the_same_at_once(store: Store) -> None:
    """The insert of whoever comes second becomes a look at the first one's row."""
    import threading

    changes = []
    barrier = threading.Barrier(4)

    def declare() -> None:
        barrier.wait()
        changes.append(store.put_connection("crm", "salesforce", {}, {"key": "s"}))

    threads = [threading.Thread(target=declare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(change.state for change in changes) == ["created", "unchanged", "unchanged", "unchanged"]

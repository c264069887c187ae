"""The declared file: what is right is read, what is wrong is said with its line, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.declare import load
from sync.policy import Policy
from sync.settings import ConfigError
from tests.config.declarations import ENVIRONMENT, GOOD, PRIVATE_KEY, SERVICE_ACCOUNT, write


def problems(folder: Path, content: str, environ: dict[str, str] | None = None) -> list[str]:
    """What is wrong, without the path of the file."""
    path = write(folder, content)
    with pytest.raises(ConfigError) as caught:
        load(path, ENVIRONMENT if environ is None else environ)
    return [line.removeprefix(f"{path}:") for line in caught.value.problems]


def test_a_right_file_is_read_whole(tmp_path: Path) -> None:
    declared = load(write(tmp_path), ENVIRONMENT)
    mail, crm = declared.connections
    assert (mail.name, mail.vendor, mail.settings) == ("acme mail", "google", {})
    assert mail.secrets == {"service_account": SERVICE_ACCOUNT}
    assert crm.settings == {"consumer_key": "3MVG9", "username": "mailspan@acme.example"}
    assert crm.secrets == {"private_key": PRIVATE_KEY.strip()}
    (policy,) = declared.policies
    assert (policy.crm_connection, policy.mail_connection) == ("acme crm", "acme mail")
    assert (policy.policy.must_match, policy.policy.match_leads) == (False, False)
    assert policy.policy.internal_domains == ("acme.example",)
    assert [(box.address, box.crm_user) for box in declared.mailboxes] == [
        ("ann@acme.example", None),
        ("bob@acme.example", "robert@acme.example"),
    ]


def test_secrets_are_not_in_the_representation(tmp_path: Path) -> None:
    assert "PRIVATE KEY" not in repr(load(write(tmp_path), ENVIRONMENT))


def test_mailboxes_bring_their_own_token_where_the_connection_signs_in_as_each_user(tmp_path: Path) -> None:
    content = GOOD.replace(
        "    service_account: {env: GOOGLE_KEY}\n",
        "    client_id: abc.apps.example\n    client_secret: {env: CLIENT_SECRET}\n",
    )
    ann, bob = problems(tmp_path, content)
    assert ann == ("19: mailboxes[0]: refresh_token is missing: the connection 'acme mail' signs in as each user")
    assert bob.startswith("21: mailboxes[1]: refresh_token is missing")
    given = content.replace("policy: sales\n", "policy: sales\n    refresh_token: {env: ANN_TOKEN}\n")
    given = given.replace("crm_user: robert@acme.example\n", "crm_user: robert@acme.example\n")
    assert [box.secrets for box in load(write(tmp_path, given), ENVIRONMENT).mailboxes] == [
        {"refresh_token": "rt-ann"}
    ] * 2


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("must_match: false", 'must_match: "yes please"',
         "15: policies[0].options.must_match: expected true or false, got 'yes please'"),
        ("must_match", "must_mach", "15: policies[0].options.must_mach: no such option; did you mean must_match?"),
        ("[acme.example]", "[acme.example, nonsense]",
         "16: policies[0].options.internal_domains: expected a domain such as example.com"),
        ("vendor: google", "vendor: gogle",
         "3: connections[0].vendor: expected one of google, microsoft, salesforce, got"),
        ("service_account: {env: GOOGLE_KEY}", "service_acount: {env: GOOGLE_KEY}",
         "4: connections[0].service_acount: no such key; did you mean service_account?"),
        ("{env: GOOGLE_KEY}", "{env: NOT_THERE}",
         "4: connections[0].service_account: the variable NOT_THERE is not set"),
        ("{env: GOOGLE_KEY}", "{env: CLIENT_SECRET}",
         "4: connections[0].service_account: the variable CLIENT_SECRET is no service account key"),
        ("{env: GOOGLE_KEY}", "hunter2", "4: connections[0].service_account: expected {env: NAME} or {file: PATH}"),
        ("keys/salesforce.pem", "keys/none.pem",
         "9: connections[1].private_key: cannot read the file keys/none.pem: No such file"),
        ("{file: keys/salesforce.pem}", "{env: CLIENT_SECRET}",
         "9: connections[1].private_key: the variable CLIENT_SECRET holds no private key"),
        ("    username: mailspan@acme.example\n", "", "5: connections[1]: username is missing (to sign in with"),
        ("    consumer_key: 3MVG9\n", "    consumer_key: 3MVG9\n    consumer_key: 4\n",
         "8: connections[1].consumer_key: given twice; first on line 7"),
        ("    consumer_key: 3MVG9\n", "    consumer_key: 3MVG9\n    client_id: x\n",
         "5: connections[1]: says more than one way to sign in; give either consumer_key"),
        ("    consumer_key: 3MVG9\n", "    consumer_key: 3MVG9\n    api_version: 20.0\n",
         "8: connections[1].api_version: expected a version from 58.0 on"),
        ("    consumer_key: 3MVG9\n", "    consumer_key: 3MVG9\n    api_url: https://a.example\n",
         "8: connections[1].api_url: no such key"),
        ("  - name: acme crm\n", "  - name: acme mail\n",
         "5: connections[1].name: acme mail is declared twice; first on line 2"),
        ("crm_connection: acme crm", "crm_connection: acme cmr",
         "12: policies[0].crm_connection: there is no connection 'acme cmr'; did you mean acme crm?"),
        ("mail_connection: acme mail", "mail_connection: acme crm",
         "13: policies[0].mail_connection: 'acme crm' is a connection to salesforce, which is the crm side"),
        ("    crm_connection: acme crm\n", "", "11: policies[0]: crm_connection is missing"),
        ("bob@acme.example", "ANN@acme.example",
         "20: mailboxes[1].address: ann@acme.example is declared twice; first on line 18"),
        ("bob@acme.example", "bob", "20: mailboxes[1].address: expected an e-mail address, got 'bob'"),
        ("    policy: sales\n    crm_user", "    policy: marketing\n    crm_user",
         "21: mailboxes[1].policy: there is no policy 'marketing'; known: sales"),
        ("    crm_user: robert", "    refresh_token: {env: ANN_TOKEN}\n    crm_user: robert",
         "22: mailboxes[1].refresh_token: not used: the connection 'acme mail' signs in for all users"),
        ("mailboxes:", "mailboxs:", "17: mailboxs: no such key; did you mean mailboxes?"),
        ("    options:\n", "    options: 7\n    spare:\n", "14: policies[0].options: expected a mapping"),
        ("must_match: false", "must_match: 2026-13-45", "15: policies[0].options.must_match: month must be in 1..12"),
        ("must_match: false", "must_match: !!python/name:os.system", "15: policies[0].options.must_match: could not"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_line_path_and_remedy(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert [line for line in found if line.startswith(expected)], found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "1: the file declares nothing"),
        ("a: [1,", "1: this is no YAML: "),
        ("a: b: c", "1: this is no YAML: mapping values are not allowed here"),
        ("- 1", "1: expected a mapping with connections, policies, mailboxes"),
        ("connections: 5", "1: connections: expected a list"),
        ("mailboxes: [7]", "1: mailboxes[0]: expected a mapping with address, policy, crm_user, refresh_token"),
        ("mailboxes: &a [*a]", "1: mailboxes[0]: expected a mapping"),
        ("\x00", "1: this is no YAML"),
        ("a: 1\n---\nb: 2", "2: this is no YAML"),
    ],
)
def test_what_is_no_declaration_at_all_is_said(tmp_path: Path, content: str, expected: str) -> None:
    assert problems(tmp_path, content)[0].startswith(expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("trigger_categories: {New case: case}",
         ["15: policies[0].options.trigger_categories: New case: case is not in modules (there: none);"
          " add it there, or say email"]),
        ("trigger_categories: {New: Case}\n      modules: [{name: case, create: false}, Project__c]",
         ["15: policies[0].options.trigger_categories: New: nothing creates case, as its create is false;"
          " set it to true in modules"]),
        ("trigger_categories: {track in crm: email}",
         ["15: policies[0].options.trigger_categories: track in crm: 'track in crm' is the name of trigger_category"
          " too; choose another one"]),
        ("done_marker: Done\n      error_marker: done",
         ["16: policies[0].options.error_marker: 'done' is the name of done_marker too; choose another one"]),
        ("done_marker: Tracking failed",
         ["15: policies[0].options.done_marker: 'Tracking failed' is the name of error_marker too;"
          " choose another one"]),
        ("conversation_follow: true\n      follow_stop_marker: Track in CRM",
         ["16: policies[0].options.follow_stop_marker: 'Track in CRM' is the name of trigger_category too;"]),
        ("trigger_categories: {New case: case}\n      modules: [7]",
         ["16: policies[0].options.modules: expected a module's name"]),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_named(tmp_path: Path, options: str, expected: list[str]) -> None:
    found = problems(tmp_path, GOOD.replace("must_match: false", options))
    assert len(found) == len(expected), found
    assert all(line.startswith(begin) for line, begin in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(
    "options",
    [
        "trigger_category: ''\n      follow_stop_marker: Track in CRM\n      trigger_categories: {Log: email}",
        "trigger_categories: {New case: CASE}\n      modules: [case]",
        "done_marker: Conversation Tracked",  # nothing is followed
    ],
)
def test_what_does_go_together_is_taken(tmp_path: Path, options: str) -> None:
    found = load(write(tmp_path, GOOD.replace("must_match: false", options)), ENVIRONMENT)
    assert found.policies[0].policy != Policy()


def test_every_mistake_comes_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    content = (
        GOOD.replace("vendor: google", "vendor: gogle")
        .replace("must_match: false", "must_match: 7\n      bodi: full")
        .replace("bob@acme.example", "bob")
    )
    found = problems(tmp_path, content, {})
    lines = [int(line.split(":")[0]) for line in found]
    assert lines == sorted(lines)
    assert {3, 15, 16, 21} <= set(lines)


def test_no_secret_is_repeated_in_a_report(tmp_path: Path) -> None:
    secrets = {"GOOGLE_KEY": "hunter2", "CLIENT_SECRET": "hunter2"}
    content = GOOD.replace("{file: keys/salesforce.pem}", "hunter2")
    assert "hunter2" not in "\n".join(problems(tmp_path, content, secrets))


def test_sections_may_be_empty_and_a_missing_file_is_said(tmp_path: Path) -> None:
    assert load(write(tmp_path, "connections:\npolicies: []\n"), {}).connections == ()
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yaml", {})

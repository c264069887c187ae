"""msgraph-sdk as `providers.md 7.2` uses it, against the sandbox; its models read the sandbox's answers."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import httpx
import pytest
from kiota_abstractions.authentication import (
    AccessTokenProvider,
    AllowedHostsValidator,
    BaseBearerTokenAuthenticationProvider,
)
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.method import Method
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_http.middleware.options import ResponseHandlerOption, RetryHandlerOption
from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory
from msgraph.generated.models.event_message_request import EventMessageRequest
from msgraph.generated.models.mail_folder_collection_response import MailFolderCollectionResponse
from msgraph.generated.models.message import Message
from msgraph.generated.models.message_collection_response import MessageCollectionResponse
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.outlook_category_collection_response import OutlookCategoryCollectionResponse
from msgraph.generated.models.subscription import Subscription
from msgraph.generated.users.item.mail_folders.item.messages.messages_request_builder import MessagesRequestBuilder
from msgraph.generated.users.item.messages.item.move.move_post_request_body import MovePostRequestBody
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory

from tests.sandbox.graph_client import ERIK, Graph, Hook, app_only, eml
from tests.sandbox.test_microsoft_mime import ics
from tests.sandbox.test_microsoft_subscriptions import subscribed

T = TypeVar("T")


class Tokens(AccessTokenProvider):
    """A token for one host only."""

    def __init__(self, token: str, host: str) -> None:
        self._token, self._hosts = token, AllowedHostsValidator([host])

    async def get_authorization_token(self, uri: str, additional_authentication_context: Any = None) -> str:
        return self._token if self._hosts.is_url_host_valid(uri) else ""

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return self._hosts


class Sdk:
    """The SDK with raw answers, one event loop."""

    def __init__(self, graph: Graph) -> None:
        self.runner = asyncio.Runner()
        context = ssl.create_default_context(cafile=graph.sandbox.ca)
        http = httpx.AsyncClient(http2=True, verify=context, timeout=10, trust_env=False)
        http = GraphClientFactory.create_with_default_middleware(
            client=http, options={RetryHandlerOption.get_key(): RetryHandlerOption(max_retries=0, should_retry=False)}
        )
        provider = BaseBearerTokenAuthenticationProvider(Tokens(app_only(graph.sandbox).token, "localhost"))
        self.adapter = GraphRequestAdapter(provider, client=http)
        self.adapter.base_url = graph.root
        self.users = GraphServiceClient(request_adapter=self.adapter).users

    def raw(self, info: RequestInformation) -> httpx.Response:
        """The answer as it came."""
        info.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        found = self.run(self.adapter.send_async(info, Message, {}))
        assert isinstance(found, httpx.Response)
        return found

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine."""
        return self.runner.run(work)


@pytest.fixture
def sdk(graph: Graph) -> Iterator[Sdk]:
    client = Sdk(graph)
    yield client
    client.runner.close()


def parsed(kind: Any, answer: httpx.Response | dict[str, Any]) -> Any:
    """An answer as the SDK's model of a type."""
    content = answer.content if isinstance(answer, httpx.Response) else json.dumps(answer).encode()
    node = JsonParseNodeFactory().get_root_parse_node("application/json", content)
    return node.get_object_value(kind)


def test_builders_reach_the_sandbox(graph: Graph, sdk: Sdk) -> None:
    told = graph.deliver()
    box = sdk.users.by_user_id(ERIK)
    parameters = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
        select=["subject", "categories"], filter="isRead eq false", top=5
    )
    builder = box.mail_folders.by_mail_folder_id("inbox").messages
    answer = sdk.raw(builder.to_get_request_information(RequestConfiguration(query_parameters=parameters)))
    assert [m["subject"] for m in answer.json()["value"]] == ["Widgets"]
    move = box.messages.by_message_id(told["id"]).move.to_post_request_information(MovePostRequestBody(
        destination_id="archive"))  # fmt: skip
    move.headers.add("Prefer", 'IdType="ImmutableId"')
    assert sdk.raw(move).json()["id"] == told["immutableId"]
    missing = sdk.raw(box.messages.by_message_id(told["id"]).to_get_request_information())
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "ErrorItemNotFound")


def test_links_and_batches_by_address(graph: Graph, sdk: Sdk) -> None:
    for number in range(12):
        graph.deliver(eml(ident=str(number)))
    delta = sdk.users.by_user_id(ERIK).mail_folders.by_mail_folder_id("inbox").messages.delta
    page = sdk.raw(delta.to_get_request_information()).json()
    found = len(page["value"])
    while "@odata.nextLink" in page:
        follow = RequestInformation()
        follow.http_method, follow.url = Method.GET, page["@odata.nextLink"]
        page = sdk.raw(follow).json()
        found += len(page["value"])
    assert found == 12
    batch = RequestInformation(Method.POST, "{+baseurl}/$batch", {})
    body = {"requests": [{"id": "1", "method": "GET", "url": f"/users/{ERIK}/mailFolders/inbox"}]}
    batch.set_stream_content(json.dumps(body).encode(), "application/json")
    assert sdk.raw(batch).json()["responses"][0]["body"]["totalItemCount"] == 12


def test_the_sdk_reads_what_the_sandbox_writes(graph: Graph, sdk: Sdk) -> None:
    graph.deliver(eml(Cc="Priya <priya@northpeak.example>"), categories=["A"])
    box = sdk.users.by_user_id(ERIK)
    page = parsed(MessageCollectionResponse, sdk.raw(box.messages.to_get_request_information()))
    (message,) = page.value
    assert (message.subject, message.categories, message.is_draft) == ("Widgets", ["A"], False)
    assert message.cc_recipients[0].email_address.address == "priya@northpeak.example"
    assert message.received_date_time.tzinfo is not None
    assert len(message.conversation_index) > 20
    folders = parsed(MailFolderCollectionResponse, sdk.raw(box.mail_folders.to_get_request_information()))
    assert {f.display_name for f in folders.value} >= {"Inbox", "Archive"}
    listed = sdk.raw(box.outlook.master_categories.to_get_request_information())
    assert parsed(OutlookCategoryCollectionResponse, listed).value[0].color.value == "preset0"
    typed = sdk.run(box.messages.by_message_id(message.id).get())
    assert typed is not None
    assert typed.body is not None
    assert typed.body.content == "Hello\r\n"


def test_the_sdk_reads_meeting_requests_and_subscriptions(graph: Graph, hook: Hook) -> None:
    told = graph.deliver(eml(body=ics("REQUEST"), Content_Type="text/calendar; method=REQUEST"))
    request = parsed(Message, graph.get(f"/messages/{told['id']}"))
    assert isinstance(request, EventMessageRequest)
    assert request.location is not None
    assert request.location.display_name == "Room 4"
    made = parsed(Subscription, subscribed(graph, hook))
    assert made.expiration_date_time.tzinfo is not None


def test_the_sdk_raises_what_the_sandbox_refuses(sdk: Sdk) -> None:
    with pytest.raises(ODataError) as refusal:
        sdk.run(sdk.users.by_user_id(ERIK).messages.by_message_id("nix").get())
    assert refusal.value.error is not None
    assert refusal.value.error.code == "ErrorItemNotFound"

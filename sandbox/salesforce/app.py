"""HTTP around the org: paths, bodies, headers, sizes, sign-in."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from sandbox.salesforce.auth import Auth, OAuthError
from sandbox.salesforce.composite import for_headers
from sandbox.salesforce.errors import ApiError, not_found, not_simulated
from sandbox.salesforce.org import Context, Org
from sandbox.salesforce.rest import Api, Reply, Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_URI_AND_HEADERS = 16_384  # bytes, providers.md 5.1
OLDEST, NEWEST = 59, 68
RETIRED = range(31)
SEASONS = ("Spring", "Summer", "Winter")
DATA = re.compile(r"/services/data/v(\d+)\.(\d)(/.*)?")
log = logging.getLogger("sandbox")


def label(version: int) -> str:
    """60 -> "Spring '24"."""
    return f"{SEASONS[version % 3]} '{24 + (version - OLDEST) // 3}"


def json_reply(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer as Salesforce sends it."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, {"Content-Type": "application/json;charset=UTF-8", **(headers or {})})


class App:
    """The WSGI callable."""

    def __init__(self, org: Org, api: Api, auth: Auth) -> None:
        self._org, self._api, self._auth = org, api, auth
        self._sign_in: dict[str, Callable[[HttpRequest], Response]] = {
            "/services/oauth2/token": self._token, "/services/oauth2/authorize": self._authorize,
            "/services/oauth2/revoke": self._revoke, "/services/oauth2/userinfo": self._user_info,
        }  # fmt: skip

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = HttpRequest(environ)
        call = environ["sandbox.call"] = {"method": "unknown", "user": "", "units": 1}
        try:
            with self._org.store.lock:
                response = self._dispatch(request, call)
        except OAuthError as error:
            response = json_reply(error.status, error.body)
        except ApiError as error:
            response = json_reply(error.status, error.body())
        return response(environ, start_response)

    def _dispatch(self, request: HttpRequest, call: dict[str, Any]) -> Response:
        self._sizes(request)
        path = request.path
        if path in self._sign_in:
            call |= {"method": f"oauth.{path.rsplit('/', 1)[1]}", "units": 0}
            return self._sign_in[path](request)
        if path.startswith("/id/"):
            call |= {"method": "identity", "units": 0}
            return self._user_info(request)
        if path.startswith("/services/Soap/"):
            call |= {"method": "soap.login", "units": 0, "api": None}
            return self._soap()
        if path.rstrip("/") == "/services/data":
            call |= {"method": "versions", "units": 0}
            return json_reply(200, [{"label": label(v), "url": f"/services/data/v{v}.0", "version": f"{v}.0"}
                                    for v in range(OLDEST, NEWEST + 1)])  # fmt: skip
        found = DATA.fullmatch(path)
        if found is None:
            raise not_found()
        return self._data(request, call, int(found[1]), int(found[2]), found[3] or "")

    @staticmethod
    def _sizes(request: HttpRequest) -> None:
        uri = len(request.environ.get("RAW_URI") or request.full_path)
        headers = sum(len(name) + len(value) + 4 for name, value in request.headers.items())
        if uri + headers > MAX_URI_AND_HEADERS:
            status = 414 if uri > MAX_URI_AND_HEADERS // 2 else 431
            text = "URI Too Long" if status == 414 else "Request Header Fields Too Large"
            raise ApiError("URI_TOO_LONG" if status == 414 else "HEADERS_TOO_LARGE", text, status=status)

    # -- the API ---------------------------------------------------------------------------------

    def _data(self, request: HttpRequest, call: dict[str, Any], major: int, minor: int, rest: str) -> Response:
        try:
            reply = self._answer(request, call, major, minor, rest)
        except ApiError as error:
            reply = Reply(error.status, error.body())
        usage = f"api-usage={self._org.used_calls()}/{self._org.daily_calls()}"
        headers = {"Sforce-Limit-Info": usage, **reply.headers}
        if isinstance(reply.body, bytes):
            return Response(reply.body, reply.status, headers)
        if reply.body is None:
            return Response(b"", reply.status, headers)
        return json_reply(reply.status, reply.body, headers)

    def _answer(self, request: HttpRequest, call: dict[str, Any], major: int, minor: int, rest: str) -> Reply:
        parts = [part for part in rest.split("/") if part]
        call["method"] = method_name(request.method, parts)
        user = self._auth.user_of(request.headers.get("Authorization"))
        if user is None:
            raise ApiError("INVALID_SESSION_ID", "Session expired or invalid", status=401)
        call["user"] = user["Username"]
        self._version(major, minor)
        units = 1
        body = self._body(request)
        if parts[:2] == ["composite", "batch"] and isinstance(body, dict):
            units = len(body.get("batchRequests") or [1])
        call["units"] = units
        self._org.count_call(units)
        headers = {name.lower(): value for name, value in request.headers.items()}
        inner = Request("GET" if request.method == "HEAD" else request.method, parts, request.args.to_dict(), body,
                        headers)  # fmt: skip
        override = inner.args.pop("_HttpMethod", None)
        if override and inner.verb == "POST":
            inner.verb = override.upper()
        ctx = for_headers(Context(self._org, user, f"{major}.{minor}"), headers)
        return self._api.handle(ctx, inner)

    @staticmethod
    def _version(major: int, minor: int) -> None:
        if minor or major > NEWEST:
            raise not_found()
        if major in RETIRED:
            raise ApiError("GONE", "The requested API version is retired.", status=410)
        if major < OLDEST:
            raise not_simulated(f"API version {major}.0")

    @staticmethod
    def _body(request: HttpRequest) -> Any:
        data = request.get_data()
        if not data or request.method in ("GET", "HEAD"):
            return None
        kind = request.mimetype
        if kind.startswith("multipart/"):
            raise not_simulated("multipart bodies")
        if kind not in ("application/json", ""):
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", f"Unsupported media type: {kind}", status=415)
        try:
            return json.loads(data)
        except ValueError as error:
            at = getattr(error, "pos", 0)
            seen = chr(data[at]) if at < len(data) else ""
            place = f"[line:{getattr(error, 'lineno', 1)}, column:{getattr(error, 'colno', 1)}]"
            raise ApiError("JSON_PARSER_ERROR", f"Unexpected character ('{seen}') at {place}") from None

    # -- sign-in ---------------------------------------------------------------------------------

    def _token(self, request: HttpRequest) -> Response:
        if request.method != "POST":
            raise OAuthError("invalid_request", "must use HTTP POST")
        return json_reply(200, self._auth.token(request.form.to_dict()), {"Cache-Control": "no-store"})

    def _revoke(self, request: HttpRequest) -> Response:
        self._auth.revoke(request.values.get("token", ""))
        return Response("", 200)

    def _authorize(self, request: HttpRequest) -> Response:
        args = request.values.to_dict()
        self._auth.check_authorize(args)
        username = args.get("username") if request.method == "POST" else args.get("login_hint")
        if not username:
            return Response(self._login_page(args), 200, {"Content-Type": "text/html;charset=UTF-8"})
        back = {"code": self._auth.grant(args, username)}
        if "state" in args:
            back["state"] = args["state"]
        return Response("", 302, {"Location": f"{args['redirect_uri']}?{urlencode(back)}"})

    def _login_page(self, args: dict[str, str]) -> str:
        hidden = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in args.items())
        users = "".join(f'<p><button name="username" value="{escape(u["Username"])}">{escape(u["Name"])}</button></p>'
                        for u in self._org.store.table("User").values() if u.get("IsActive"))  # fmt: skip
        return ("<!doctype html><title>Allow access?</title><h1>Allow access?</h1>"
                f'<form method="post" action="/services/oauth2/authorize">{hidden}{users}</form>')  # fmt: skip

    def _user_info(self, request: HttpRequest) -> Response:
        user = self._auth.user_of(request.headers.get("Authorization"))
        if user is None:
            return Response("Bad_OAuth_Token", 403, {"Content-Type": "text/html;charset=UTF-8"})
        url = self._org.frame.url("salesforce")
        return json_reply(200, {
            "sub": f"{url}/id/{self._org.org_id}/{user['Id']}", "user_id": user["Id"],
            "organization_id": self._org.org_id, "preferred_username": user["Username"], "name": user["Name"],
            "email": user["Email"], "email_verified": True, "zoneinfo": user.get("TimeZoneSidKey"),
            "active": user.get("IsActive"), "urls": {"rest": f"{url}/services/data/v{{version}}/"}})  # fmt: skip

    @staticmethod
    def _soap() -> Response:
        text = "INVALID_OPERATION: SOAP API login() is disabled by default in this org."
        return Response(
            '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
            'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com">'
            f"<soapenv:Body><soapenv:Fault><faultcode>INVALID_OPERATION</faultcode><faultstring>{text}</faultstring>"
            "<detail><sf:UnexpectedErrorFault><sf:exceptionCode>INVALID_OPERATION</sf:exceptionCode>"
            f"<sf:exceptionMessage>{text}</sf:exceptionMessage></sf:UnexpectedErrorFault></detail></soapenv:Fault>"
            "</soapenv:Body></soapenv:Envelope>", 500, {"Content-Type": "text/xml;charset=UTF-8"})  # fmt: skip


def method_name(verb: str, parts: list[str]) -> str:
    """The call's name for the meter: "query", "composite.graph", "sobjects.Contact.patch"."""
    if not parts:
        return "resources"
    if parts[0] == "composite":
        return ".".join(parts[:2])
    if parts[0] == "sobjects" and len(parts) > 1:
        return f"sobjects.{parts[1]}.{'describe' if parts[-1] == 'describe' else verb.lower()}"
    return parts[0]

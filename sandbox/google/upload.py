"""Media uploads: ``uploadType`` media and multipart (`providers.md GM-14`)."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import Any

from sandbox.google.discovery import Operation
from sandbox.google.errors import GoogleError, bad_request, invalid, unimplemented
from sandbox.google.multipart import split

Json = dict[str, Any]
PREFIXES = ("/upload/", "/resumable/upload/")


def plain_path(path: str) -> str:
    """The path of the operation without the upload's prefix."""
    return re.sub(r"^(/resumable)?/upload", "", path)


class Upload:
    """One upload; `check` splits it into the metadata (JSON) and the content."""

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self._kind = headers.get("content-type", "")
        self._body = body
        self.metadata = b""
        self.content = b""

    def check(self, operation: Operation, params: Json) -> None:
        """Split by `uploadType`; GoogleError for what the operation does not take."""
        if not operation.method.get("supportsMediaUpload"):
            raise GoogleError(404)
        rules, kind = operation.method["mediaUpload"], params.get("uploadType")
        if kind == "multipart":
            parts = split(self._body, self._kind)
            if len(parts) != 2:
                raise bad_request("Multipart upload needs exactly two parts: metadata and media.")
            (_, self.metadata), (headers, self.content) = parts
            media_type = headers.get("content-type", "")
        elif kind == "media":
            media_type, self.content = self._kind, self._body
        elif kind == "resumable":
            raise unimplemented("resumable uploads")
        else:
            raise bad_request("Upload requests must name an uploadType of media, multipart or resumable.")
        plain = media_type.split(";")[0].strip().lower()
        if not any(fnmatch(plain, pattern) for pattern in rules.get("accept", ("*/*",))):
            raise invalid(f"Media type '{plain}' is not supported. Valid media types: [{', '.join(rules['accept'])}]")
        if len(self.content) > int(rules.get("maxSize", 1 << 40)):
            raise GoogleError(413, "Request entity too large", reason="uploadTooLarge")

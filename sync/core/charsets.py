"""Bytes -> text that every system takes: any charset name, any bytes, no exception.

Labels are read as browsers read them (Latin-1 means Windows-1252, GB2312 means GB18030), since that is how mail
programs write them.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

_ALIASES = {
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "big5": "cp950",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-8859-8-i": "iso-8859-8",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "unicode": "utf-8",
}
_GUESS = frozenset(("", *"us-ascii ascii ansi_x3.4-1968 utf-8 utf8 8bit 7bit binary none default unknown-8bit".split()))
_NO_TEXT = re.compile(r"^(idna|punycode|undefined|unicode.?escape|raw.?unicode.?escape|mbcs|oem)", re.IGNORECASE)
_BREAKS = re.compile("\r\n?|\u2028|\u2029|\x85")
_CONTROL: dict[int, str | None] = {
    **dict.fromkeys((*range(9), 11, *range(14, 32), *range(127, 160), 0xFEFF)),
    12: "\n",
}


def clean(text: str) -> str:
    """Line feeds only, no control characters, no half surrogates: what JSON, XML and SQL all take."""
    text = _BREAKS.sub("\n", text).translate(_CONTROL)
    return text.encode("utf-8", "replace").decode("utf-8")


def decode(raw: bytes, charset: str | None) -> tuple[str, bool]:
    """The text, cleaned, and whether it could be read without loss or guessing.

    An unknown or wrong charset falls back to UTF-8, then to Windows-1252; bytes that mean nothing become U+FFFD.
    """
    label = (charset or "").strip().strip("\"'").lower()
    label = label.removeprefix("charset=").partition("*")[0].strip().strip("\"'")
    if label in _GUESS:
        text, sure = guess(raw)
        return clean(text), sure or label not in ("utf-8", "utf8", "us-ascii", "ascii")
    name = _ALIASES.get(label, label)
    if _NO_TEXT.match(name) is None:
        text_or_none = _strict(raw, name)
        if text_or_none is not None:
            return clean(text_or_none), True
        known = _known(name)
        if known:
            if _is_utf8(raw):
                return clean(raw.decode("utf-8")), False
            return clean(raw.decode(known, "replace")), False
    return clean(guess(raw)[0]), False


def guess(raw: bytes) -> tuple[str, bool]:
    """UTF-8 if it is (true), else Windows-1252, which nearly all bytes are (false)."""
    if raw.startswith(codecs.BOM_UTF8):
        raw = raw[3:]
    try:
        return raw.decode("utf-8"), True
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace"), False


def _is_utf8(raw: bytes) -> bool:
    return not raw.isascii() and guess(raw)[1]


def _strict(raw: bytes, name: str) -> str | None:
    try:
        return raw.decode(name)
    except (UnicodeError, LookupError, ValueError, TypeError, OverflowError):
        return None


def _known(name: str) -> str | None:
    """The codec's name if replacing errors works with it, which is not so for codecs that are no charsets."""
    try:
        b"x".decode(name, "replace")
        return name
    except (UnicodeError, LookupError, ValueError, TypeError):
        return None


def printable(text: str, limit: int) -> str:
    """One line of text, single blanks, at most `limit` characters: for subjects, names and file names."""
    flat = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in text[: 4 * limit])
    return " ".join(flat.split())[:limit]

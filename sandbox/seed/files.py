"""Small real files for attachments: PDF, PNG, calendar, Word, TNEF. No compressor, so no library version shows."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime


def pdf(lines: Sequence[str]) -> bytes:
    """A one-page PDF 1.4 with `lines` of Latin text."""
    escaped = (line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in lines)
    show = "BT /F1 11 Tf 56 780 Td 15 TL\n" + "\n".join(f"({line}) Tj T*" for line in escaped) + "\nET"
    stream = show.encode("cp1252", "replace")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, table, len(objects) + 1, len(out))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: Sequence[bytes], palette: bytes, width: int) -> bytes:
    """An image of palette indices, one byte a pixel, in stored (uncompressed) deflate blocks."""
    data = b"".join(b"\0" + row for row in rows)
    blocks = [data[i : i + 65535] for i in range(0, len(data), 65535)]
    deflate = b"".join(
        struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block for block in blocks
    )
    stored = b"\x78\x01" + deflate + struct.pack(">I", zlib.adler32(data))
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"PLTE", palette)
        + _chunk(b"IDAT", stored)
        + _chunk(b"IEND", b"")
    )


def logo() -> bytes:
    """Northpeak's signature logo: a white peak on blue, 48 x 24."""
    rows = [bytes(1 if abs(x - 24) <= y * 0.9 else 2 if y > 20 else 0 for x in range(48)) for y in range(24)]
    return png(rows, bytes.fromhex("12436d ffffff 7aa6c2"), 48)


def photo(seed: int) -> bytes:
    """A grey "photograph" of a nameplate, 96 x 72."""
    rows = [
        bytes(
            (x * (seed % 7 + 1) // 12 + y // 9 + (30 < y < 42 and x % (seed % 5 + 3) == 0) * 3) % 12 for x in range(96)
        )
        for y in range(72)
    ]
    return png(rows, b"".join(bytes((20 * i, 20 * i + 8, 20 * i + 12)) for i in range(12)), 96)


def docx(paragraphs: Sequence[str]) -> bytes:
    """A Word document that Word opens: three parts, stored."""
    body = "".join(f'<w:p><w:r><w:t xml:space="preserve">{p}</w:t></w:r></w:p>' for p in paragraphs)
    office = "http://schemas.openxmlformats.org"
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{office}/package/2006/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{word}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
        "</Relationships>",
        "word/document.xml": f'<w:document xmlns:w="{office}/wordprocessingml/2006/main"><w:body>{body}</w:body>'
        "</w:document>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, text in parts.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.create_system = 0
            archive.writestr(info, '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + text)
    return out.getvalue()


def calendar(
    method: str,
    uid: str,
    summary: str,
    start: datetime,
    end: datetime,
    organizer: str,
    attendees: Sequence[tuple[str, str]],
) -> str:
    """An iTIP object (RFC 5546) for one meeting; `attendees` are (address, participation status)."""

    def stamp(when: datetime) -> str:
        return when.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

    people = "".join(f"ATTENDEE;PARTSTAT={status};RSVP=TRUE:\r\n mailto:{address}\n" for address, status in attendees)
    return (
        f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Northpeak seed//EN\nMETHOD:{method}\nBEGIN:VEVENT\nUID:{uid}\n"
        f"DTSTAMP:20261101T080000Z\nDTSTART:{stamp(start)}\nDTEND:{stamp(end)}\nSUMMARY:{summary}\n"
        f"ORGANIZER:mailto:{organizer}\n{people}SEQUENCE:0\nSTATUS:CONFIRMED\nEND:VEVENT\nEND:VCALENDAR\n"
    ).replace("\r\n", "\n")


def _tnef_attribute(level: int, ident: int, data: bytes) -> bytes:
    return struct.pack("<BII", level, ident, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def tnef(subject: str, name: str, data: bytes) -> bytes:
    """A `winmail.dat` (MS-OXTNEF) that holds one file."""
    return (
        struct.pack("<IH", 0x223E9F78, 0x1234)
        + _tnef_attribute(1, 0x00089006, struct.pack("<I", 0x00010000))  # attTnefVersion
        + _tnef_attribute(1, 0x00078008, b"IPM.Microsoft Mail.Note\0")  # attMessageClass
        + _tnef_attribute(1, 0x00018004, subject.encode("ascii") + b"\0")  # attSubject
        + _tnef_attribute(2, 0x00069002, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0))  # attAttachRenddata
        + _tnef_attribute(2, 0x00018010, name.encode("ascii") + b"\0")  # attAttachTitle
        + _tnef_attribute(2, 0x0006800F, data)
    )  # attAttachData

"""Text from HTML, the newest part of a reply, and cutting at what people see as characters."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.cut import boundary, shorten
from sync.core.markup import to_text
from sync.core.replies import newest_part
from sync.core.text import CUT_NOTE, limit, unflow


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<div>One</div><div>Two</div>", "One\nTwo"),
        ("One<br>Two<br><br>Three", "One\nTwo\n\nThree"),
        ("a <b>b</b>\n c&nbsp;d", "a b c d"),
        ("<head><title>T</title><style>p{}</style></head><body>x<script>y</script></body>", "x"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "* a\n* b\n  * c"),
        ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a  b\nc"),
        ('<p>Yes</p><blockquote type="cite">Ready?<br>Now?</blockquote>', "Yes\n\n> Ready?\n> Now?"),
        ("<p>Yes</p><blockquote style='margin:0'>indented</blockquote>", "Yes\n\nindented"),
        ("<pre>a  b\n c</pre>", "a  b\n c"),
        ("<!-- no -->yes<![if mso]> too<![endif]>", "yes too"),
        ("5 &lt; 6 &amp; 7 &euro; &#128512;", "5 < 6 & 7 € 😀"),
        ("plain words", "plain words"),
        ("<?xml version='1.0' encoding='latin-1'?><html><body>é</body></html>", "é"),
        ("<meta charset=koi8-r>é", "é"),
        ("<p>unclosed <b>tags", "unclosed tags"),
        ("a\x00b", "ab"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_text_from_html(html: str, text: str) -> None:
    assert to_text(html) == text


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000 + "words",
        "<table><tr><td>" * 50_000 + "words",
        "<blockquote type=cite>" * 20_000 + "words" + "<br>x" * 50_000,
        "<table>" + "<tr><td>a</td></tr>" * 20_000 + "<tr><td>" + "x" * 100_000 + " words</td></tr></table>",
        "words" + "<p style='padding:99999999em'>x</p>" * 1000,
        "words" + "<" * 500_000,
        "words<!--" * 50_000,
        "words <p " + "a=b " * 200_000 + ">",
        "<b><i><u><p>words" * 20_000 + "</b></i></u></p>" * 20_000,
    ],
    ids=["deep", "tables", "quotes", "skew", "padding", "angles", "comments", "attributes", "misnested"],
)
def test_hostile_html_costs_little_and_keeps_its_words(html: str) -> None:
    began = time.process_time()
    text = to_text(html)
    assert time.process_time() - began < 4.0
    assert "words" in text
    assert len(text) <= 12 * len(html)


TAGS = st.sampled_from(
    "<p> </p> <td> <li> <ol> </ol> <pre> <br> <style> </style> &amp; &#0; &#xD800; < > <!-- --> \0 <svg> word "
    "<blockquote/type=cite> </blockquote>".split(" ")
)


@settings(deadline=None)
@given(st.lists(TAGS | st.text(max_size=5), max_size=30).map("".join))
def test_any_html_gives_clean_text(html: str) -> None:
    text = to_text(html)
    text.encode()
    assert "\x00" not in text
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    ("text", "newest"),
    [
        ("Yes.\n\nOn Mon, 5 Jan 2026 at 10:00, Sam <sam@ours.example> wrote:\n> Ready?\n", "Yes."),
        ("Yes.\n\nOn Mon, 5 Jan 2026 at 10:00, Sam Long Name\n<sam@ours.example> wrote:\n\nReady?\n", "Yes."),
        ("Ja.\n\nAm 05.01.2026 um 10:00 schrieb Sam:\n> Bereit?", "Ja."),
        ("Oui.\n\nLe lun. 5 janv. 2026 à 10:00, Sam <sam@ours.example> a écrit :\n> Prêt ?", "Oui."),
        ("Sí.\n\nEl lun, 5 ene 2026 a las 10:00, Sam escribió:\n> ¿Listo?", "Sí."),
        ("Да.\n\n05.01.2026 10:00, Sam пишет:\n> Готово?", "Да."),
        ("好。\n\n2026年1月5日 Sam <sam@ours.example> 写道：\n> 好吗？", "好。"),
        ("Yes.\n\n-----Original Message-----\nFrom: Sam\nReady?", "Yes."),
        ("Ja.\n\n-----Ursprüngliche Nachricht-----\nVon: Sam\nBereit?", "Ja."),
        ("Yes.\n________________________________\nFrom: Sam\nSent: Monday\nTo: Jane\nSubject: Ready\n\nReady?", "Yes."),
        ("Ja.\n\nVon: Sam\nGesendet: Montag\nAn: Jane\nBetreff: Bereit\n\nBereit?", "Ja."),
        ("Yes.\n\n*From:* Sam\n*Sent:* Monday\n*To:* Jane\n\nReady?", "Yes."),
        ("Yes.\n\n2026-01-05 10:00 GMT+01:00 Sam <sam@ours.example>:\n\n> Ready?", "Yes."),
        ("Yes.\n> Ready?\n> Now?", "Yes."),
        # the answer stands below the quotation
        ("On Mon, 5 Jan 2026, Sam wrote:\n> Ready?\n\nYes.", "Yes."),
        # answers between the quotations: those are kept, an answer means nothing without its question
        ("Hi,\n\nOn 5 Jan 2026, Sam wrote:\n> Ready?\nYes.\n> Now?\nNo.", "Hi,\n\n> Ready?\nYes.\n> Now?\nNo."),
        # no reply at all
        ("Just text.\n\nFrom: the heart\n\nTo: whom", "Just text.\n\nFrom: the heart\n\nTo: whom"),
        ("I wrote on 5 Jan:\nhello", "I wrote on 5 Jan:\nhello"),
        ("On 5 January we meet.\nSee you", "On 5 January we meet.\nSee you"),
        # a bare forward is kept whole
        ("-----Original Message-----\nFrom: Sam\nReady?", "-----Original Message-----\nFrom: Sam\nReady?"),
        ("> all quoted", "> all quoted"),
        ("", ""),
    ],
)
def test_newest_part(text: str, newest: str) -> None:
    assert newest_part(text) == newest
    assert newest_part(text.replace("\n", "\r\n")) == newest


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["> q", "text", "", "On 5 Jan 2026, Sam wrote:", "From: a", "To: b", "Sent: c", "____", "--"])
    )
)
def test_something_of_every_text_remains(lines: list[str]) -> None:
    text = "\n".join(lines)
    newest = newest_part(text)
    assert bool(newest.strip()) == bool(text.strip())
    assert set(newest.split("\n")) <= {*lines, ""}


def test_long_text_is_scanned_quickly() -> None:
    began = time.process_time()
    newest_part(("On 1 " + "wrote " * 80 + "\n") * 20_000)
    newest_part("From: a\n\n" * 100_000)
    assert time.process_time() - began < 5.0


# --- cutting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at", "found"),
    [
        ("abc", 2, 2),
        ("abc", 9, 3),
        ("ae\u0301b", 2, 1),
        ("a👩\u200d💻b", 2, 1),
        ("a👩\u200d💻b", 3, 1),
        ("a👍🏽b", 2, 1),
        ("🇩🇪🇫🇷", 1, 0),
        ("🇩🇪🇫🇷", 3, 2),
        ("🇩🇪🇫🇷", 2, 2),
        ("a\r\nb", 2, 1),
        ("❤\ufe0fx", 1, 0),
    ],
)
def test_boundaries(text: str, at: int, found: int) -> None:
    assert boundary(text, at) == found


@given(st.text(max_size=60), st.integers(min_value=0, max_value=60))
def test_shortened_text_fits_and_is_a_beginning(text: str, most: int) -> None:
    short = shorten(text, most)
    assert len(short) <= most
    assert short == text or text.startswith(short.removesuffix("…"))


def test_a_visible_note_tells_of_the_cut() -> None:
    assert limit("short", 100) == "short"
    cut = limit("x" * 500, 100)
    assert len(cut) == 100
    assert cut.endswith(CUT_NOTE)


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("one \ntwo\nthree", "one two\nthree"),
        ("> one \n> two\nthree", "> one two\nthree"),
        ("> one \ntwo", "> one \ntwo"),
        (" From here", "From here"),
        ("sig \n-- \nJane", "sig \n-- \nJane"),
    ],
)
def test_unflow(text: str, joined: str) -> None:
    assert unflow(text) == joined


def test_unflow_can_delete_the_blank() -> None:
    assert unflow("日本 \n語", delete_space=True) == "日本語"

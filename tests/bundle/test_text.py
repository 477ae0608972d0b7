import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.text import show


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a<b and c>d", "a<b and c>d"),
        ("I <3 it", "I <3 it"),
        ("a<b awful film never again b>a", "a<b awful film never again b>a"),
        ("one<br />two<P class='x'>three</p>", "one two three "),
        ('un<i>believ</i>able, <A HREF="x y" target=_blank>here</A>', "unbelievable, here"),
        ("good <unknown> film", "good <unknown> film"),
        ("<!-- hidden --> seen", "  seen"),
        ("seen <!-- hidden to the end", "seen  "),
        ("<script type='x'>hidden</script >seen<STYLE>p {}</style>", " seen "),
        ("it&#39;s &quot;so&quot; &lt;b&gt; &amp;lt;", 'it\'s "so" <b> <'),
        ("it&amp;#39;s &amp;quot;so&amp;quot; &amp;amp; &amp;amp;amp;", 'it\'s "so" & &amp;'),
        ("&#" + "9" * 5000 + "; &amp;#" + "9" * 5000 + ";", "\ufffd \ufffd"),
        ("<!-->seen<!--->seen<!-- hidden --!>seen", " seen seen seen"),
        ("<!DOCTYPE html>seen<?xml version='1.0'?>seen<![CDATA[hidden]]>seen<!-hidden>", " seen seen seen "),
        ("so <! and <? > or <!important", "so <! and <? > or <!important"),
        ("<section>one</section><td>two</td>", " one  two "),
        ("un<wbr>believ<kbd>able</kbd>", "unbelievable"),
        ("<input disabled>one<details open class=x>two<video controls/>", " one two "),
        ("a <b and c> d <b opening> <b open", "a <b and c> d <b opening> <b open"),
        ("<script>hidden</script x>seen", " seen"),
        (
            "<a title='x > y' href=\"<>\">one</a><img alt='a > \"b\"'>two<script x='>'>hidden</script>three",
            "one two three",
        ),
        ("one<br / >two<br/ >three<p class='a'id='b'/data-c=\"d\">four", "one two three four"),
        ("<b/w> <i/o>", "<b/w> <i/o>"),
        ("<a title='x>one</a> <b class=\"x>two", "<a title='x>one <b class=\"x>two"),
        ("Wow\u2122 :\u2011) 10\u204410 3\u221210 \u21161", "Wow  :-) 10/10 3-10 number 1"),
        ("a\ufdfab\ufdfb \u3394 \u247e", "a b  THz (11)"),
        ("\u2018a\u2019 b\u00b4c d`e \u201cf\u201d \u00abg\u00bb", "'a' b'c d'e \"f\" \"g\""),
        ("\uff46\uff55\uff4c\uff4c \ufb01ne \u210c\u00e9\u0301llo so\u00adft\u200b \ufeff", "full fine Hello soft "),
        ("8\u00bd (\u00bc", "8.5 ( 0.25"),
        ("2 \u00bd a\u00be 7/10 \u00bd", "2.5 a 0.75 7/10  0.5"),
        ("\u2605\u00bd \u2b50\ufe0f \u00bd", "\u2605.5 \u2b50.5"),
        ("\u02bea\u02bf b\u02c8c d\u02cae f\u02cbg h\ua78bi", "'a' b'c d'e f'g h'i"),
        ("\u275ba\u275c b\uff40c \u0091d\u0092 \u201ae", "'a' b'c 'd' \u201ae"),
        ("\u0093a\u0094 \u275db\u275e c\u0085", '"a" "b" c...'),
        ("\U0001d41b\U0001d41a\U0001d41d", "bad"),
        (
            "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4} \N{HEAVY BLACK HEART}\ufe0f",
            "\N{THUMBS UP SIGN} \N{HEAVY BLACK HEART}",
        ),
    ],
)
def test_what_a_reader_sees(text: str, seen: str) -> None:
    assert show(text) == seen


@given(st.text(st.characters()))  # surrogates included
def test_any_text_is_shown_without_marks_that_could_be_typed_otherwise(text: str) -> None:
    seen = show(text)
    assert not set(seen) & set("\u2019\u00ad\u201c\u0301`\u2011\u2014\u2044")


@given(st.text(st.characters()))
def test_a_text_is_shown_with_at_most_eight_characters_for_one(text: str) -> None:
    assert len(show(text)) <= 8 * len(text)


@pytest.mark.parametrize(
    "piece",
    [
        "<!--",
        "<script>",
        "<script",
        '<a x="',
        "<p a=1 ",
        "<p" + " " * 50,
        "&amp;",
        "&#",
        "e\u0301\u0323",
        "\ufdfa",
        "<",
        "</b",
        "<!a",
        "<?a ",
        "<!--!",
        "<p open",
        "<p hidden=",
        "9",
        "9 \u00bd",
        "&#9",
        "&amp;#39;",
        "<a b='",
        "<a b=\"' c='",
        '<a b="c\' d=\'e" f="',
        "<a b='\"' ",
        "<script a='",
        "<script a='<script b=\"",
        "<br /",
        "<br / / ",
        "<p a='b'c='d'",
        "<p/",
        "/",
    ],
)
def test_the_time_is_in_proportion_to_the_text(piece: str) -> None:
    """A pattern that looks back at all of the text would take hours for the longer one."""
    text = piece * (1_000_000 // len(piece))
    started = time.process_time()
    show(text)
    assert time.process_time() - started < 10

"""prototxt: definitions are read into a tree and written out again."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddsim.caffe import Message, PrototxtError, parse, quoted, to_text


def test_every_way_of_writing_a_field_is_read() -> None:
    """Colon or none before a brace, angle brackets, lists, separators, comments and split strings mean the same."""
    text = """# first
    a: 1 b: -2.5e3, c { d: "x # no comment" 'y\\'z' } ; e: { f: TRUE } g < h: [1, 2 , 3] >  # last"""
    net = parse(text)
    assert net.integers("a") == [1]
    assert net.floats("b") == [-2500.0]
    assert net.messages("c")[0].text("d") == "x # no commenty'z"
    assert net.messages("e")[0].text("f") == "TRUE"
    assert net.messages("g")[0].integers("h") == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "line 1: expected ':' or '{' after 'a'"),
        ("\n\na:", "line 3: expected a value for 'a'"),
        ("a: }", "line 1: expected a value for 'a', found '}'"),
        ("a {", "ends before 1 closing"),
        ("a { >", "'>' closes nothing"),
        ("}", "'}' closes nothing"),
        ("a: [1, 2", "expected a value"),
        ('# "\na: "x', "line 2: cannot read '\"x'"),
        ("a: 1 @", "cannot read '@'"),
        (": 1", "expected a key"),
        ("a {" * 200, "more than 100 messages"),
    ],
)
def test_unreadable_definition_names_its_line(text: str, problem: str) -> None:
    """A definition that is not protobuf text is an error that says where and why."""
    with pytest.raises(PrototxtError) as raised:
        parse(text)
    assert problem in str(raised.value)


VALUES = st.one_of(st.integers().map(str), st.sampled_from(["true", "MAX", '"a b"', "'c'", '"\\""', "1e-3"]))
MESSAGES = st.recursive(
    st.builds(Message, st.lists(st.tuples(st.sampled_from("abc"), VALUES), max_size=3)),
    lambda inner: st.builds(Message, st.lists(st.tuples(st.sampled_from("abc"), st.one_of(VALUES, inner)), max_size=3)),
    max_leaves=8,
)


@given(MESSAGES)
def test_what_is_written_is_read_again(message: Message) -> None:
    """Writing and reading a tree gives the same tree."""
    assert parse(to_text(message)) == message


@given(st.text(alphabet="ab1:{}<>[]\"'#,; \n", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text ends in another error than the one announced."""
    with contextlib.suppress(PrototxtError):
        parse(text)


@given(st.text(st.characters(exclude_characters="\n")))
def test_any_string_can_be_quoted(text: str) -> None:
    """Quotes and backslashes within a name come back as they were."""
    assert parse(f"name: {quoted(text)}").text("name") == text

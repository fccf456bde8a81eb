"""ddsim.caffe.labels: files of labels in the forms that people have."""

from __future__ import annotations

import pytest

from ddsim.caffe import LabelsError, read_labels

PLAIN = "0 chair\n1 table lamp\n2 bed\n"
NAMES = {0: "chair", 1: "table lamp", 2: "bed"}


def test_a_servers_file_is_read_as_it_is() -> None:
    """Nothing is odd about it, and written again it is the same."""
    found = read_labels(PLAIN.encode(), 3)
    assert (found.names, found.oddities, found.text()) == (NAMES, (), PLAIN)


@pytest.mark.parametrize(
    ("content", "oddity"),
    [
        (PLAIN.replace("\n", "\r\n").encode(), "on Windows"),
        (PLAIN.replace("\n", "\r").encode(), "on Windows"),
        (b"\xef\xbb\xbf" + PLAIN.encode(), "byte order mark"),
        (PLAIN.encode("utf-16"), "byte order mark"),
        (b"0\tchair\n1\ttable lamp\n2\tbed", "than one blank"),
        (b"0, chair\n1, table lamp\n2, bed", "than one blank"),
        (b"1 chair\n2 table lamp\n3 bed\n", "begin with 1"),
        (b"chair\ntable lamp\nbed\n", "no numbers (a label a line)"),
        (b"\nchair \ntable lamp\t\n\nbed", "no numbers (a label a line)"),
    ],
)
def test_other_forms_are_put_right(content: bytes, oddity: str) -> None:
    """A server reads the first with a line's end in each label, in silence, and says "stoi" to most others."""
    found = read_labels(content, 3)
    assert found.names == NAMES
    assert oddity in " ".join(found.oddities)
    assert read_labels(found.text().encode(), 3).oddities == ()


def test_imagenets_synsets_are_numbered() -> None:
    """Their names stay whole: categories may be mapped by the first word."""
    found = read_labels(b"n02791124 chair, barber chair\nn04380533 lamp\n")
    assert found.names == {0: "n02791124 chair, barber chair", 1: "n04380533 lamp"}
    assert "synset_words.txt" in found.oddities[0]


def test_numbers_from_1_stay_where_the_network_has_one_class_more() -> None:
    """Its first class may be the background, which has no label."""
    assert read_labels(b"1 chair\n2 bed\n", 3).names == {1: "chair", 2: "bed"}
    assert read_labels(b"1 chair\n2 bed\n").names == {1: "chair", 2: "bed"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no labels"),
        (b" \n\n", "no labels"),
        (b"0 chair\nlamp\n", "'lamp' does not"),
        (b"0 chair\n0 lamp\n", "0 is there twice"),
        (b"<html><body>404</body></html>", "no text of labels"),
        (b"0 a\0b", "no text of labels"),
    ],
)
def test_what_cannot_be_labels_is_named(content: bytes, words: str) -> None:
    """Rather than guessed."""
    with pytest.raises(LabelsError, match=words):
        read_labels(content)

"""What a file is that should be a network's and is not."""

from __future__ import annotations

_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file; a server reads a binary .caffemodel: save it from Caffe as one"),
    (b"PK\x03\x04", "a zip archive, such as PyTorch or a download has it: unpack it, or export it for Caffe"),
    (b"\x1f\x8b", "compressed by gzip: unpack it"),
    (b"BZh", "compressed by bzip2: unpack it"),
    (b"\xfd7zXZ", "compressed by xz: unpack it"),
    (b"\x80\x02", "a Python pickle, such as PyTorch's; it is no Caffe file"),
)
_LOOKED_AT = 512


def what_else(content: bytes) -> str | None:
    """What a file is in place of a network's definition, weights or labels, and what to do; None where nothing shows.

    Args:
        content: of the file, or its first 512 bytes.
    """
    if not content:
        return "empty"
    for start, what in _KINDS:
        if content.startswith(start):
            return what
    begin = content[:_LOOKED_AT].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if begin.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a page of HTML, such as an error or a login in place of the file: download it again, and look at it"
    return None

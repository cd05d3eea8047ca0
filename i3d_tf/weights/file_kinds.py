"""Describes files that hold no weights, for messages."""

import pathlib
import zipfile

_BEGINNINGS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK", "a ZIP archive"),
    (b"\x80", "a pickle"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"GIF8", "a GIF image"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"RIFF", "a RIFF file, such as an AVI video"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"version https://git-lfs", "a pointer of Git LFS; run `git lfs pull` there"),
    (b"<", "an HTML or XML page, perhaps an error message in place of a download"),
    (b"{", "a JSON file"),
)
# Further on in the file: (offset, bytes).
_LATER = (
    (4, b"ftyp", "an MP4 or MOV video"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (257, b"ustar", "a tar archive; unpack it first"),
    (8, b"{", "a safetensors file"),
    # The version of ONNX's format, then the program that wrote it.
    (0, b"\x08", "a protocol buffer, such as an ONNX model"),
)


def describe(path: pathlib.Path) -> str:
    """Returns the kind of a file by its first bytes, such as "a GIF image"."""
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "an empty file"
    for beginning, kind in _BEGINNINGS:
        if start.lstrip(b"\xef\xbb\xbf \n").startswith(beginning):
            return kind if kind != "a ZIP archive" else _describe_zip(path)
    for offset, found, kind in _LATER:
        if start[offset:].startswith(found):
            return kind
    if b"\0" not in start:
        return "a text file"
    return "a file of unknown kind"


def _describe_zip(path):
    try:
        names = zipfile.ZipFile(path).namelist()
    except zipfile.BadZipFile:
        return "a damaged ZIP archive"
    shown = ", ".join(names[:3]) or "nothing"
    more = f" and {len(names) - 3} more files" if len(names) > 3 else ""
    return f"a ZIP archive of {shown}{more}"

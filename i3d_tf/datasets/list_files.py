"""The files that data sets are listed in: lines of words, and CSV."""

import csv
import io
import pathlib


def read_lines(path):
    """Yields (file:line, line) of a text file's lines that are not empty, stripped.

    Raises ValueError if there is no such file, or it is not UTF-8.
    """
    path = pathlib.Path(path)
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", line.strip()


def read_csv(path, needed):
    """Yields (file:line, {column: text}) of a CSV file with a header.

    Outer spaces are removed from names and values; a value that is not there is
    empty. `file:line` is the row's last line, where a quoted value has several.

    Args:
      path: of the file: commas, double quotes around what holds a comma, UTF-8 with
        or without a byte-order mark, any line ends.
      needed: columns that have to be there; others may be.

    Raises:
      ValueError: no such file, not UTF-8, a column is missing, or a row has more
        values than the header.
    """
    path = pathlib.Path(path)
    rows = csv.reader(io.StringIO(_read_text(path)), strict=True, skipinitialspace=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        missing = [name for name in needed if name not in header]
        if missing:
            raise ValueError(
                f"{path}: header is {','.join(header) or 'missing'}; needed are "
                f"{','.join(needed)}"
            )
        for row in rows:
            where = f"{path}:{rows.line_num}"
            values = [value.strip() for value in row]
            if any(values[len(header) :]):
                raise ValueError(
                    f"{where}: has {len(row)} values for {len(header)} columns; one "
                    "with a comma needs double quotes"
                )
            if any(values):
                values += [""] * (len(header) - len(values))
                yield where, dict(zip(header, values, strict=False))
    except csv.Error as error:
        raise ValueError(f"{path}:{rows.line_num}: {error}") from error


def _read_text(path):
    if not path.is_file():
        raise ValueError(f"{path}: no such list")
    try:
        # All line ends become "\n": some copies of UCF101's lists have CRLF.
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error})") from error

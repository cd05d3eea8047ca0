"""What of a listing is in a data set, and why the rest is not."""

import csv
import hashlib
import json
import pathlib

from flow.files import as_path, exists, local_copy, write_json, written_aside

COVERAGE = "coverage.json"  # both beside the records
QUARANTINE = "quarantine.csv"
LISTING = "listing.sha256"
COUNTS = ("listed", "present", "used")
UNLABELLED = "(no label)"  # in the place of a label


def new_coverage(listing):
    """The coverage before anything was done.

    Returns:
      {split: {label: {"listed": n, "present": 0, "used": 0, "lost": []}}}: how many
      videos are listed, how many of their files are there, and how many are in the
      records; lost are those that are not, as {"video": id, "reason": text}. Those
      used up to their damage, where that was wanted, are listed likewise as "damaged".
    """
    coverage = {}
    for entry in listing.videos:
        counts_of(coverage, entry)["listed"] += 1
    return coverage


def add_outcome(coverage, outcome):
    """Counts what became of one video, an `outcomes.Outcome`."""
    counts = counts_of(coverage, outcome.listed)
    counts["present"] += outcome.present
    if outcome.reason is None:
        counts["used"] += 1
        if outcome.damage is not None:
            told = {"video": outcome.listed.id, "reason": outcome.damage}
            counts.setdefault("damaged", []).append(told)
    else:
        counts["lost"].append({"video": outcome.listed.id, "reason": outcome.reason})


def counts_of(coverage, entry):
    """The counts of the split and label of a `Listed`; they begin with 0."""
    labels = coverage.setdefault(entry.split, {})
    nothing = {**dict.fromkeys(COUNTS, 0), "lost": []}
    return labels.setdefault(entry.label or UNLABELLED, nothing)


def write_coverage(folder, coverage):
    """Writes coverage.json, and what is lost as a table, quarantine.csv.

    Sorts what is lost, as processes finish in any order.
    """
    folder = as_path(folder)
    for labels in coverage.values():
        for counts in labels.values():
            for told in (counts["lost"], counts.get("damaged", [])):
                told.sort(key=lambda one: one["video"])
    write_json(folder / COVERAGE, coverage)
    with (
        written_aside(folder / QUARANTINE) as aside,
        open(aside, "w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["split", "label", "video", "reason"])
        for split, labels in coverage.items():
            for label, counts in labels.items():
                for lost in counts["lost"]:
                    table.writerow([split, label, lost["video"], lost["reason"]])


def write_fingerprint(folder, listing):
    """Writes what `is_built_from` compares."""
    (as_path(folder) / LISTING).write_text(f"{_fingerprint(listing)}\n")


def is_built_from(folder, listing):
    """Whether a built data set lists these videos, splits and labels; None if it does
    not say."""
    path = as_path(folder) / LISTING
    return path.read_text().strip() == _fingerprint(listing) if exists(path) else None


def _fingerprint(listing):
    videos = sorted([one.split, one.label or "", one.id] for one in listing.videos)
    text = json.dumps([list(listing.labels), videos])
    return hashlib.sha256(text.encode()).hexdigest()


def read_coverage(folder):
    """The coverage of a built data set; None if it has none."""
    path = as_path(folder) / COVERAGE
    if not exists(path):
        return None
    with local_copy(path) as local:
        return json.loads(pathlib.Path(local).read_text("utf-8"))


def total(labels):
    """The counts of one split over all its labels.

    Returns:
      {"listed": n, "present": n, "used": n, "damaged": n, "classes": how many are
      listed, "unused_classes": [those without a used video]}.
    """
    return {
        **{key: sum(counts[key] for counts in labels.values()) for key in COUNTS},
        "damaged": sum(len(counts.get("damaged", [])) for counts in labels.values()),
        "classes": len(labels),
        "unused_classes": [
            label for label, counts in labels.items() if not counts["used"]
        ],
    }


def describe(totals):
    """`90 of 100 listed videos used (95 present), 5 classes, none of wave`."""
    line = (
        f"{totals['used']} of {totals['listed']} listed videos used "
        f"({totals['present']} present), {totals['classes']} "
        f"class{'' if totals['classes'] == 1 else 'es'}"
    )
    if totals["damaged"]:
        line += f"; {totals['damaged']} up to their damage"
    unused = totals["unused_classes"]
    if unused:
        more = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
        line += f"; no video of {', '.join(unused[:5])}{more}"
    return line

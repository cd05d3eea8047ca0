"""Tables of the training benchmark."""

import statistics

_NAMES = {
    "bare": "forward, backward, SGD",
    "loop": "the loop",
    "loop, records": "the loop, batches of records",
    "loop, averages": "the loop, `ema_decay`",
}


def loop_figures(section):
    """What is told of the loop, from what was measured of it; seconds."""
    turns, run = section["turns"], section["run"]
    least = {
        group: {name: min(times["seconds"]) for name, times in turns[group].items()}
        for group in ("updates", "without_network")
    }
    updates = run["updates"]
    per_epoch = run["per_epoch"]
    # Between two updates of an epoch; between epochs there is a checkpoint.
    numbered = list(enumerate(zip(updates, updates[1:], strict=False), start=1))
    gaps = [b[0] - a[1] for n, (a, b) in numbered if n % per_epoch]
    between = [b[0] - a[1] for n, (a, b) in numbered if n % per_epoch == 0]
    # The first of an epoch waits for the pipeline to begin.
    steady = [u for n, u in enumerate(updates) if n % per_epoch]
    spent = sum(u[1] - u[0] for u in steady)
    without = least["without_network"]
    own = without["loop"] - without["bare"]
    host = statistics.median(gaps)
    return {
        "least": least,
        "own": own,
        "host": host,
        "between_epochs": min(between),
        "share": (own + host) / least["updates"]["loop"],
        "update_of_run": min(u[1] - u[0] for u in steady),
        "wait": statistics.median(u[2] for u in steady),
        "wait_share": sum(u[2] for u in steady) / spent,
        "first_wait": statistics.median(u[2] for u in updates[::per_epoch][1:]),
    }


def loop_table(section):
    figures = loop_figures(section)
    least, turns = figures["least"], section["turns"]
    rows = [
        "| an update | s | processor s | without a network, ms |",
        "|---|---|---|---|",
    ]
    for name in {**least["updates"], **least["without_network"]}:
        cells = ["", ""]
        if name in least["updates"]:
            processor = min(turns["updates"][name]["processor"])
            cells = [f"{least['updates'][name]:.3f}", f"{processor:.3f}"]
        nothing = least["without_network"].get(name)
        cells.append("" if nothing is None else f"{nothing * 1e3:.1f}")
        rows.append(f"| {_NAMES[name]} | {' | '.join(cells)} |")
    rows.append(
        f"\nown {figures['own'] * 1e3:.1f} ms in the update and "
        f"{figures['host'] * 1e3:.1f} ms between two: {figures['share']:.1%}; "
        f"`train`: {figures['update_of_run']:.3f} s an update, waits "
        f"{figures['wait'] * 1e3:.2f} ms ({figures['wait_share']:.2%}), at the "
        f"beginning of an epoch {figures['first_wait']:.2f} s, between epochs "
        f"{figures['between_epochs']:.2f} s; peak {section['run']['peak_gb']:.2f} GB"
    )
    return "\n".join(rows)


def memory_table(section):
    rows = ["| T | clips | options | peak GB | before GB |", "|---|---|---|---|---|"]
    for row in section["rows"]:
        frames, _, clips, _ = row["size"]
        rows.append(
            f"| {frames} | {clips} | {_options(row)} | {row['peak_gb']:.2f} | "
            f"{row['before_gb']:.2f} |"
        )
    return "\n".join(rows)


def scaling_table(section):
    clips = section["size"][2]
    rows = [
        "| strategy | replicas | processes | passes | clips/s | to one | without a "
        "network, ms | of one, ms | peak GB a process |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in section["rows"]:
        seconds, nothing = _least(row["seconds"])
        of_one, nothing_of_one = _least(row["seconds_of_one"])
        rows.append(
            f"| {row['strategy']} {_options(row)} | {row['replicas']} | "
            f"{row['processes']} | {row['passes']} | {clips / seconds:.2f} | "
            f"{of_one / seconds:.2f} | {nothing * 1e3:.0f} | "
            f"{nothing_of_one * 1e3:.0f} | {row['peak_gb']:.2f} |"
        )
    return "\n".join(rows)


def _least(seconds):
    return min(seconds["update"]), min(seconds["nothing"])


def _options(row):
    return ", ".join(f"`{name}={value}`" for name, value in row["options"].items())


TABLES = {"loop": loop_table, "memory": memory_table, "scaling": scaling_table}

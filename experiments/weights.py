r"""Lists DeepMind's published networks, or downloads them into the cache.

    python -m experiments.weights
    python -m experiments.weights download kinetics400-rgb
    python -m experiments.weights sample

The last command downloads a video to try a network on, and prints its path.

Two networks whose answers are averaged have a name too, such as kinetics400. A
network's name stands for its weights, as in `import_weights --source kinetics400-rgb`.
The cache is the folder that the environment variable I3D_TF_CACHE names, otherwise a
folder in the user's cache folder.
"""

from absl import flags

from experiments import command
from flow.unexpected import doing

_WEIGHTS_DIR = flags.DEFINE_string(
    "weights_dir",
    None,
    "A clone of DeepMind's repository, to copy from instead of downloading.",
)


def main(words):
    if not words:
        for line in table():
            print(line)
        return
    if words == ["sample"]:
        from i3d_tf.weights import download

        print(download.fetch_sample())
        return
    verb, *names = words
    if verb != "download" or not names:
        raise ValueError(
            f"unknown: {' '.join(words)!r}; write nothing for the list, or: "
            "download NAME, or: sample"
        )
    from i3d_tf.weights import download
    from i3d_tf.weights.catalogue import networks_of

    for network in [network for name in names for network in networks_of(name)]:
        with doing(f"downloading {network.name}"):
            prefix = download.fetch_weights(network.name, _WEIGHTS_DIR.value)
        print(f"{network.name}: {prefix}")


def table() -> list[str]:
    """Returns the lines of the list of networks."""
    from i3d_tf.weights import download
    from i3d_tf.weights.catalogue import (
        LICENCE,
        NETWORKS,
        REPOSITORY,
        TWO_STREAM_MODELS,
        class_names,
    )

    rows = [("name", "stream", "classes", "top-1", "MB", "in the cache")]
    for network in NETWORKS.values():
        top1 = f"{network.top1} %" if network.top1 else "-"
        megabytes = f"{sum(file.size for file in network.files) / 1e6:.1f}"
        is_here = "yes" if download.is_in_cache(network.name) else "no"
        row = network.name, network.stream.name, str(len(class_names(network.classes)))
        rows.append((*row, top1, megabytes, is_here))
    papers = dict.fromkeys(network.paper for network in NETWORKS.values())
    pairs = (
        f"{model.name}: {' and '.join(network.name for network in model.networks)}, "
        f"top-1 {model.top1} %"
        for model in TWO_STREAM_MODELS.values()
    )
    return [
        *command.in_columns(rows),
        "",
        *pairs,
        "top-1: published accuracy on Kinetics, of whole videos and one stream",
        f"papers: {'; '.join(papers)}",
        f"weights: {REPOSITORY}, {LICENCE}",
        f"cache: {download.cache_folder()}",
    ]


def cli():
    command.run(main, takes_words=True)


if __name__ == "__main__":
    cli()

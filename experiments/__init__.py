"""Commands, recipes, notebooks and benchmarks."""

from experiments.startup import start_tensorflow_quietly

start_tensorflow_quietly()

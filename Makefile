# make demo           from nothing but Python to a trained, exported two-stream I3D
# make pretrained     DeepMind's network classifies a video; VIDEO= names your own
# make install        the environment alone, in .venv
# make check          ruff
# make test           all tests but the slow ones
# make test-slow      the slow ones
# make test-processors  the networks' tests without AVX-512, and without oneDNN
# make test-newest    the tests with the newest Python and libraries, without the pins
# make test-backends  JAX and PyTorch against TensorFlow, into tests/backends.json
# make test-demo      the demo page in headless Chromium
#
# DEMO_SHORT=1 make demo runs every stage on few videos and steps, and expects no
# accuracy. PYTHON=python3.12 names another Python; .venv is then made again.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv
INSTALLED := $(VENV)/installed-$(VERSION)
RUN = $(VENV)/bin/python -m
# The newest Python here that the project supports.
NEWEST ?= $(firstword $(foreach version,3.13 3.12 3.11,$(shell \
    python$(version) -c 'print("python$(version)")' 2>/dev/null)))
VENV_NEWEST = .venv-newest

ifdef DEMO_SHORT
DEMO ?= demo-short
SAMPLES = --train_per_class 2 --test_per_class 1 --seconds 0.6
STEPS = --set rgb.steps=4 --set flow.steps=4 --set data.num_frames=9
TARGET = 0
else
DEMO ?= demo
SAMPLES =
STEPS =
TARGET = 0.9
endif

.PHONY: demo pretrained install check test test-slow test-newest test-processors \
    test-backends test-demo clean-demo

demo: $(INSTALLED)
	$(RUN) experiments.sample_videos --output $(DEMO) $(SAMPLES)
	$(RUN) experiments.extract_flow --videos $(DEMO)/videos --output $(DEMO)/flow \
	    --smaller_side 72
	$(RUN) experiments.build_dataset --dataset ucf101 --videos $(DEMO)/videos \
	    --flow $(DEMO)/flow --annotations $(DEMO)/annotations --data_dir $(DEMO)/data
	$(RUN) experiments.train --config demo \
	    --workdir $(DEMO)/run --data_dir $(DEMO)/data $(STEPS)
	$(RUN) experiments.evaluate --workdir $(DEMO)/run --data_dir $(DEMO)/data
	$(RUN) experiments.export --workdir $(DEMO)/run --output $(DEMO)/model
	$(RUN) experiments.predict --model $(DEMO)/model --output $(DEMO)/prediction \
	    --video $(DEMO)/videos/CircleBlue/v_CircleBlue_g01_c01.avi
	$(RUN) experiments.demo_report --demo $(DEMO) --target $(TARGET)

# The first run downloads 50 MB of weights, and the sample if no VIDEO is named.
pretrained: $(INSTALLED)
	@video="$(VIDEO)"; test -n "$$video" || video=$$($(RUN) experiments.weights sample) \
	    && $(RUN) experiments.predict --model kinetics400-rgb --video "$$video" \
	    --output pretrained

# A process for each core: most of the time goes into tracing, which takes one.
test: $(INSTALLED)
	$(RUN) pytest --numprocesses auto --dist loadfile

install: $(INSTALLED)

test-slow: $(INSTALLED)
	$(RUN) pytest -m slow

# Without Apache Beam and ONNX, which hold back protobuf; their tests skip.
test-newest:
	$(NEWEST) -m venv $(VENV_NEWEST)
	$(VENV_NEWEST)/bin/pip install --quiet --upgrade --upgrade-strategy eager \
	    --editable '.[test]'
	$(VENV_NEWEST)/bin/python -m pytest --numprocesses auto --dist loadfile

# oneDNN held down to AVX2, then off. The tests of other files do not depend on it. The
# first run leaves out bfloat16 and float16: TensorFlow looks at the processor itself and
# asks oneDNN for kernels that are held back. On a processor with AVX2 alone it computes
# both types as in the second run.
NETWORK_TESTS = $(wildcard $(addprefix tests/test_,checkpoints.py distillation_*.py \
    evaluat*.py export.py fast*.py features.py fine_tuning.py goldens.py inception*.py \
    inflate.py long_videos.py pose_network.py prediction.py released_weights.py runs.py \
    serving.py training.py updates.py any_input.py))

test-processors: $(INSTALLED)
	ONEDNN_MAX_CPU_ISA=AVX2 $(RUN) pytest --numprocesses auto --dist loadfile \
	    -k 'not float16' $(NETWORK_TESTS)
	TF_ENABLE_ONEDNN_OPTS=0 $(RUN) pytest --numprocesses auto --dist loadfile \
	    $(NETWORK_TESTS)

test-backends: $(VENV)/installed-backends
	BACKENDS_RECORD=tests/backends.json $(RUN) pytest -m backends

# In the Chromium of this machine.
test-demo: $(VENV)/installed-demo
	$(RUN) pytest -m demo

check: $(INSTALLED)
	$(RUN) ruff check .
	$(RUN) ruff format --check .

clean-demo:
	rm -rf $(DEMO)

# The mark is made last, so that an interrupted installation is repeated. It names the
# version of Python: the environment of another one is made again.
$(INSTALLED): setup.cfg constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed")'
	test -e $@ || $(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# PyTorch from the package index brings CUDA libraries on Linux. To do without them,
# install a CPU build into $(VENV) between `make install` and `make test-backends`.
$(VENV)/installed-backends: $(INSTALLED)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[backends]'
	touch $@

$(VENV)/installed-demo: $(INSTALLED)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[demo,demo-tests]'
	touch $@

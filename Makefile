# make demo: from nothing but Python to a trained, fused, exported two-stream I3D.
# make test: all tests but the slow ones.   make check: ruff.   make test-slow: the rest.
# make test-backends: JAX and PyTorch against TensorFlow, into tests/backends.json.
# make test-demo: the demo page in headless Chromium.
# DEMO_SHORT=1 make demo: every stage on few videos and steps; no accuracy is expected.

PYTHON ?= python3
VENV = .venv
RUN = $(VENV)/bin/python -m

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

.PHONY: demo test test-slow test-backends test-demo check clean-demo

demo: $(VENV)/installed
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

# A process for each core: most of the time goes into tracing, which takes one.
test: $(VENV)/installed
	$(RUN) pytest --numprocesses auto --dist loadfile

test-slow: $(VENV)/installed
	$(RUN) pytest -m slow

test-backends: $(VENV)/installed-backends
	BACKENDS_RECORD=tests/backends.json $(RUN) pytest -m backends

# In the Chromium of this machine.
test-demo: $(VENV)/installed-demo
	$(RUN) pytest -m demo

check: $(VENV)/installed
	$(RUN) ruff check .
	$(RUN) ruff format --check .

clean-demo:
	rm -rf $(DEMO)

# The mark is made last: an installation that broke off is done again.
$(VENV)/installed: setup.cfg constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# PyTorch from the package index brings CUDA libraries on Linux; install a CPU build
# into $(VENV) beforehand to do without.
$(VENV)/installed-backends: $(VENV)/installed
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[backends]'
	touch $@

$(VENV)/installed-demo: $(VENV)/installed
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[demo,demo-tests]'
	touch $@

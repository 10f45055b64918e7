# Thin: every target is one command of the Python package, or sets up what it needs.
# Variables of the jobs: MODEL DATASET NOISE (ORDER RATIO EXECUTIONS DEVICE GAIN_RATE SIGMA_RATE
#   SAMPLES: of the noise) LEVELS IMAGES HW_IMAGES SITES SEED MVU BUDGET
#   JOBS (worker processes) or SCHEDULER (of a Dask cluster)
#   and one of FOLDING (a FINN folding file), FPS and CYCLES; ABLATION=1 asks walk-hw at which step
#   from software to RTL the sides differ, SCOPE=site has it simulate from the noisy site on alone

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
MODEL  ?= tfc
STUDY  ?= studies/digits.yaml
# files go to workers whole, in the order of tests/conftest.py
PARALLEL = --numprocesses auto --dist loadfile --no-loadscope-reorder

# a variable that is not given leaves the command's own default
option = $(if $($(1)),--$(2) '$($(1))')
NOISE_JOB = $(call option,NOISE,noise) $(call option,ORDER,order) $(call option,RATIO,ratio) \
         $(call option,EXECUTIONS,executions) $(call option,DEVICE,device) \
         $(call option,GAIN_RATE,gain-rate) $(call option,SIGMA_RATE,sigma-rate) \
         $(call option,SAMPLES,samples)
ENGINE = $(call option,JOBS,jobs) $(call option,SCHEDULER,scheduler)
ACCELERATOR = $(call option,DATASET,dataset) $(call option,SITES,sites) $(call option,MVU,mvu) \
         $(call option,FOLDING,folding) $(call option,FPS,fps) $(call option,CYCLES,cycles) \
         $(call option,TRAINING_NOISE,training-noise)
JOB    = $(call option,DATASET,dataset) $(NOISE_JOB) $(call option,LEVELS,levels) \
         $(call option,IMAGES,images) $(call option,HW_IMAGES,hw-images) $(call option,SITES,sites) \
         $(call option,SEED,seed) $(ENGINE) $(call option,MVU,mvu) \
         $(call option,FOLDING,folding) $(call option,FPS,fps) $(call option,CYCLES,cycles) \
         $(call option,BUDGET,budget) $(call option,TRAINING_NOISE,training-noise)

.PHONY: help setup check compile synth walk walk-hw study multi-exec multi-exec-hw soc walk-soc vote-soc robustness dynamics train bench bench-walk test quick lint clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
	  awk -F'\t' '{printf "  %-14s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv with every tool; nothing else needs installing by hand

$(READY): pyproject.toml .constraints.txt flow/host_tools.sh
	@sh flow/host_tools.sh $(PYTHON)
	@echo "setting up $(VENV): a minute or two, 3 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c .constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps finn-plus==1.6.1
	@touch $@

walk-hw: $(READY) ## walk noise through MODEL in software and in its RTL, and compare
	$(BIN)/noisewalk walk-hw --model '$(MODEL)' $(JOB) \
	  $(call option,SCOPE,scope) $(if $(ABLATION),--ablation)

study: $(READY) ## do the runs of STUDY, a YAML file, and report (docs/studies.md)
	$(BIN)/noisewalk study run '$(STUDY)' $(ENGINE)

check: $(READY) ## tell whether MODEL, an own network, fits the hardware, and DATASET suits it
	$(BIN)/noisewalk check --model '$(MODEL)' --dataset '$(or $(DATASET),fashion-mnist)'

compile: $(READY) ## compile MODEL to RTL: a table of its nodes, and where it lies
	$(BIN)/noisewalk compile --model '$(MODEL)' $(ACCELERATOR)

synth: $(READY) ## count what MODEL's nodes take on an FPGA: LUTs, flip-flops, DSPs, block RAMs
	$(BIN)/noisewalk synth --model '$(MODEL)' $(ACCELERATOR) $(call option,LIMIT,limit)

train: $(READY) ## train MODEL on DATASET (EPOCHS, NOISE, SIGMA, SEED)
	$(BIN)/noisewalk train --model '$(MODEL)' $(call option,DATASET,dataset) \
	  $(call option,NOISE,noise) $(call option,SIGMA,sigma) $(call option,EPOCHS,epochs) \
	  $(call option,SEED,seed)

bench: $(READY) ## measure every speed in one table (ROUNDS); the software walk's on CIFAR-10
	$(BIN)/noisewalk bench --model '$(MODEL)' $(call option,DATASET,dataset) \
	  $(call option,ROUNDS,rounds)

bench-walk: $(READY) ## the walk in software alone, on every image
	$(BIN)/noisewalk bench-walk

walk: $(READY) ## walk noise through MODEL in software alone
	$(BIN)/noisewalk walk --model '$(MODEL)' $(call option,DATASET,dataset) \
	  $(call option,NOISE,noise) $(call option,LEVELS,levels) $(call option,IMAGES,images) \
	  $(call option,SITES,sites) $(call option,SEED,seed)

multi-exec: $(READY) ## walk MODEL, then spend equal budgets of executions in every way
	$(BIN)/noisewalk multi-exec --model '$(MODEL)' $(call option,DATASET,dataset) \
	  $(call option,NOISE,noise) $(call option,IMAGES,images) $(call option,SEED,seed)

multi-exec-hw: $(READY) ## repeat noisy executions in MODEL's RTL: accuracy over cycles (REPEATS)
	$(BIN)/noisewalk multi-exec-hw --model '$(MODEL)' $(call option,DATASET,dataset) \
	  $(call option,NOISE,noise) $(call option,REPEATS,repeats) $(call option,IMAGES,images) \
	  $(call option,HW_IMAGES,hw-images) $(call option,SITES,sites) $(call option,SEED,seed) \
	  $(ENGINE)

soc: $(READY) ## build MODEL's accelerator with a microcontroller that drives it, and its firmware
	$(BIN)/noisewalk soc --model '$(MODEL)' $(call option,DATASET,dataset) \
	  $(call option,MVU,mvu) $(call option,FOLDING,folding) $(call option,FPS,fps) \
	  $(call option,CYCLES,cycles) $(call option,TRAINING_NOISE,training-noise)

walk-soc: $(READY) ## walk noise through MODEL by firmware on the whole system
	$(BIN)/noisewalk walk-soc --model '$(MODEL)' $(call option,DATASET,dataset) $(NOISE_JOB) \
	  $(call option,LEVELS,levels) $(call option,IMAGES,images) \
	  $(call option,HW_IMAGES,hw-images) $(call option,SITES,sites) $(call option,SEED,seed) \
	  $(ENGINE) $(call option,MVU,mvu) $(call option,FOLDING,folding) $(call option,FPS,fps) \
	  $(call option,CYCLES,cycles) $(call option,TRAINING_NOISE,training-noise)

vote-soc: $(READY) ## let images vote over noisy executions on the system (VOTES)
	$(BIN)/noisewalk vote-soc --model '$(MODEL)' $(call option,DATASET,dataset) $(NOISE_JOB) \
	  $(call option,VOTES,votes) $(call option,IMAGES,images) \
	  $(call option,HW_IMAGES,hw-images) $(call option,SITES,sites) $(call option,SEED,seed) \
	  $(ENGINE)

robustness: $(READY) ## walk MODEL's clean and noise-trained checkpoints in software and in RTL
	$(BIN)/noisewalk robustness --model '$(MODEL)' $(call option,DATASET,dataset) $(NOISE_JOB) \
	  $(call option,IMAGES,images) $(call option,HW_IMAGES,hw-images) $(call option,SITES,sites) \
	  $(call option,SEED,seed) $(ENGINE) $(call option,BUDGET,budget)

dynamics: $(READY) ## train MODEL at each noise level, and see what that does to its layers
	$(BIN)/noisewalk dynamics --model '$(MODEL)' $(call option,DATASET,dataset) \
	  $(call option,NOISE,noise) $(call option,LEVELS,levels) $(call option,EPOCHS,epochs) \
	  $(call option,SEED,seed)

test: $(READY) ## run every test
	$(BIN)/pytest $(PARALLEL)

quick: $(READY) ## run the tests that take seconds
	$(BIN)/pytest $(PARALLEL) -m 'not slow'

lint: $(READY) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

build/data/usr/share/datasets/fashion-mnist: ## fetch the full Fashion-MNIST from Debian's package
	mkdir -p build/data
	cd build/data && apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb . \
	  && rm dataset-fashion-mnist_*.deb

.PHONY: data docs
data: build/data/usr/share/datasets/fashion-mnist ## the full Fashion-MNIST, without root (Debian, Ubuntu)

docs: $(READY) ## build the docs as static pages, in build/site
	$(BIN)/mkdocs build

clean: ## delete everything that was built, results included
	rm -rf build

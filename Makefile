# Every target works from a fresh clone. Choose the interpreter (3.11 or newer) with PYTHON=…
# On Linux, TORCH_INDEX=https://download.pytorch.org/whl/cpu leaves out the CUDA libraries.
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
TEXTURES ?=
START ?= vggt_sfm/models/weights/tiny.safetensors
DATA ?= ../shared/data
SPEC ?= ../shared/spec
PARITY ?=
FUZZ ?=
# Wallpapers and game textures under free licences; see the copyright file of each package.
TEXTURE_PACKAGES := mate-backgrounds gnome-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 \
	plasma-workspace-wallpapers ukui-wallpapers cube2-data openarena-081-textures supertuxkart-data \
	ufoai-textures
# Of the rendered test set: no picture of them is trained on.
TEST_TEXTURE_PACKAGES := torcs-data colobot-common-textures

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-all lint format type stage-hashes bench parity checkpoints fuzz train-embedded textures clean

demo: $(VENV)/installed  ## reconstruct a rendered scene whose cameras are known
	$(BIN)/vggt-sfm demo -o build/demo

# One process a core, each with one thread: torch's threads wait for each other where cores are busy.
test: $(VENV)/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

test-all: $(VENV)/dev
	$(BIN)/python -m pytest --run-slow

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Static tools do not see the package-dir map of pyproject.toml, so they get the built tree.
type: $(VENV)/dev
	rm -rf build/typecheck build/lib build/bdist.*
	$(PIP) --no-deps --target build/typecheck .
	cd build/typecheck && $(abspath $(BIN))/mypy --config-file ../../pyproject.toml -p vggt_sfm
	cd build/typecheck && $(abspath $(BIN))/lint-imports --config ../../pyproject.toml

# After a change of a stage's code; first raise its version if its results changed.
stage-hashes: $(VENV)/dev
	$(BIN)/python tests/pipelines/test_stage_versions.py --write

bench: $(VENV)/installed
	$(BIN)/vggt-sfm bench poses --data $(DATA) -o build/bench

# Is this the published network? Four CPU minutes and 7 GB; PARITY=--no-full leaves VGGT-1B's size out.
parity: $(VENV)/installed
	$(BIN)/python -m vggt_sfm.benchmarks.parity --spec $(SPEC) $(PARITY)

# Memory at load with checkpoints of VGGT-1B's shape: 18 GB of disk, ten minutes on two cores.
checkpoints: $(VENV)/installed
	$(BIN)/python -m vggt_sfm.benchmarks.checkpoints --spec $(SPEC) --data $(DATA) \
		-o build/checkpoints

# Broken predictions and tracks, in child processes: ten minutes. FUZZ=--seed 1 draws others.
fuzz: $(VENV)/installed
	$(BIN)/python -m vggt_sfm.benchmarks.fuzz --cases 2000 $(FUZZ) -o build/fuzz

# Goes on training the embedded model, on a GPU if there is one; a stopped run goes on where it was.
# START= trains from nothing. TEXTURES=build/textures adds photographs: `make textures` fetches them.
train-embedded: $(VENV)/installed
	$(BIN)/python -m vggt_sfm.training.render_pool build/pool $(if $(TEXTURES),--textures $(TEXTURES))
	$(BIN)/python -m vggt_sfm.training.tiny matcher build/pool build/matcher $(if $(START),--start $(START))
	$(BIN)/python -m vggt_sfm.training.tiny context build/pool build/matcher build/context \
		$(if $(START),--start $(START))
	$(BIN)/python -m vggt_sfm.training.tiny solve build/pool build/matcher build/context
	$(BIN)/python -m vggt_sfm.training.tiny depth build/pool build/matcher build/depth \
		$(if $(START),--start $(START))
	$(BIN)/python -m vggt_sfm.training.package build/matcher build/context build/depth build/pool \
		$(if $(START),--start $(START)) $(if $(TEXTURES),--texture-source $(TEXTURES))

textures: build/textures/unpacked build/textures-test/unpacked

build/textures/unpacked: PACKAGES = $(TEXTURE_PACKAGES)
build/textures-test/unpacked: PACKAGES = $(TEST_TEXTURE_PACKAGES)
build/%/unpacked:
	mkdir -p $(@D)
	cd $(@D) && apt-get download $(PACKAGES)
	cd $(@D) && for file in *.deb; do dpkg -x $$file . && rm $$file; done
	cd $(@D) && find . -name '*.pk3' -execdir $(PYTHON) -m zipfile -e {} . \;
	@touch $@

clean:
	rm -rf build $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; choose another one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/dev: $(VENV)/installed
	$(PIP) --group dev
	@touch $@

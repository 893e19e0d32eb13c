# The index of commands. Set-up is part of each: packages are named before they are installed.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# What building needs beside cargo: a C linker, and libclang for the bindings to V4L2.
BUILD_PACKAGES := gcc libc6-dev libclang-dev
# What tests need beside that: a Vulkan driver that runs on the CPU, for the GPU kernels.
TEST_PACKAGES := mesa-vulkan-drivers libvulkan1
# What fuzzing needs beside that: libFuzzer is built from its C++ sources.
FUZZ_PACKAGES := g++
# How long each reader is fuzzed.
SECONDS ?= 60

# What tests of programs as sources need; without it those are skipped, each saying so.
PROGRAM_PACKAGES := ffmpeg
# A network camera: GStreamer's RTSP server.
RTSP_PACKAGES := gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good

# A browser to look at the page with.
UI_PACKAGES := chromium fonts-dejavu-core

# What `keepsight build-info` calls the commit.
run dist: export KEEPSIGHT_COMMIT := $(shell git describe --always --dirty 2>/dev/null)

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: setup ## track the generated scene and serve health on http://127.0.0.1:8787 (ARGS="--source camera:0")
	cargo run --release --locked -- run $(ARGS)

# Written by the tests of those names, whose own output cargo keeps to itself.
SUMMARIES := $(addprefix $(or $(CARGO_TARGET_DIR),target)/tmp/,each-source.txt contained-faults.txt)

test: setup-tests ## check and test everything that needs neither camera, GPU nor data
	cargo fmt --all --check
	web-ui/check.sh
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	cargo test --locked -p keepsight --no-default-features
	rm -f $(SUMMARIES)
	cargo test --workspace --locked
	@cat $(SUMMARIES)

features: setup ## check the build with no feature, the default ones, each alone, and all
	tests/features.sh

fuzz: setup-fuzz ## fuzz each reader of bytes from outside for a while (SECONDS=60 TARGETS="avi jpeg")
	fuzz/run.sh $(SECONDS) $(TARGETS)

bench: setup ## measure everything that needs no GPU, each figure beside its budget
	cargo build --release --locked
	CARGO_TARGET_DIR=target/smallest cargo build --release --locked --no-default-features --features scene,frame-stats
	benches/start-up.sh target/smallest/release/keepsight target/release/keepsight
	cargo bench --locked --bench sandbox --bench memory --bench http --bench frames
	cargo bench --locked -p keepsight-video-tracker --bench preprocess --bench detect --bench associate --bench frame --bench follow
	cargo bench --locked -p keepsight-scene --bench scene
	cargo bench --locked -p keepsight-contract --bench convert
	cargo bench --locked -p keepsight-jpeg --bench decode

scores: setup ## track the sequences of an evaluation data folder (KEEPSIGHT_DATA=...) and print each score beside its bar
	cargo build --release --locked --bins --example scene_detections
	benches/tracking-scores.sh "$(KEEPSIGHT_DATA)"

gpu-bench: setup ## hold the kernels against their twins on this machine's GPU, then measure them
	cargo test --locked -p keepsight-gpu -p keepsight-video-tracker --lib
	cargo bench --locked -p keepsight-video-tracker --bench preprocess --bench detect --bench follow

# Freed memory goes back to the system at once, so that what is resident is what is held.
soak: setup ## let everything go wrong at random for MINUTES=n, and hold what is counted against what was asked (SEED=n repeats a run)
	MALLOC_MMAP_THRESHOLD_=65536 MALLOC_ARENA_MAX=4 MINUTES=$(or $(MINUTES),10) cargo run --release --locked --no-default-features --features scene,frame-stats --example soak

camera-test: setup ## run the release binary beside a real V4L2 camera, in a small virtual machine
	cargo build --release --locked
	cargo build --release --locked -p keepsight-camera --example capture
	tests/camera-vm/run.sh target/release/keepsight

ui: ## build the page anew into web-ui/dist, which the binary embeds
	cd web-ui && npm ci --silent --ignore-scripts && npm run --silent build

ui-test: setup ## look at the page in Chromium, and take the pictures of it in docs/page
	@tests/setup.sh $(UI_PACKAGES)
	@command -v npm >/dev/null || tests/setup.sh nodejs npm
	cargo build --locked --features fault-injector
	cargo build --locked -p keepsight-scene --example pictures
	cd web-ui && npm ci --silent --ignore-scripts && \
	  KEEPSIGHT=$(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/debug/keepsight \
	  PICTURES=$(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/debug/examples/pictures SCREENSHOTS=$(CURDIR)/docs/page npm run --silent test:browser

loom: ## check every interleaving of a call with its deadline, in a model of the memory
	cd tests/loom && RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(CURDIR)/target/loom cargo test --release --locked

rtsp-test: setup-tests ## see a network camera come, go and come back, by GStreamer's RTSP server
	@tests/setup.sh $(RTSP_PACKAGES)
	KEEPSIGHT_TEST_RTSP=1 cargo test --locked --test it command_line::programs

uncontained: setup ## build a binary in which panics end the process, and show what one leaves behind
	cargo test --locked --no-default-features --features frame-stats,fault-injector,uncontained --test uncontained

miri: ## run lifecycle, call slot and frames in Miri, where a nightly toolchain has it
	@if ! cargo +nightly miri --version >/dev/null 2>&1; then \
	  echo "skipped: no nightly toolchain with Miri; rustup component add --toolchain nightly miri"; exit 0; fi; \
	set -e; export CARGO_TARGET_DIR=$(CURDIR)/target/miri; \
	cargo +nightly miri test --locked --no-default-features --lib -- lifecycle:: sandbox::call_slot::; \
	cargo +nightly miri test --locked -p keepsight-contract --lib -- frame:: pixels::

deny: ## check licences and sources of all dependencies
	@command -v cargo-deny >/dev/null || { echo "installing cargo-deny"; cargo install --locked cargo-deny; }
	cargo deny check bans licenses sources

dist: setup ## pack the release binary, its notices, a sample configuration and a systemd unit
	cargo build --release --locked
	packaging/dist.sh target/release/keepsight

setup:
	@tests/setup.sh $(BUILD_PACKAGES)

setup-tests:
	@tests/setup.sh $(BUILD_PACKAGES) $(TEST_PACKAGES)
	@tests/setup.sh $(PROGRAM_PACKAGES) || echo "tests that need $(PROGRAM_PACKAGES) are skipped" >&2

setup-fuzz:
	@tests/setup.sh $(BUILD_PACKAGES) $(FUZZ_PACKAGES)

.PHONY: help run test features fuzz bench scores gpu-bench soak camera-test rtsp-test ui ui-test loom uncontained miri deny dist setup setup-tests setup-fuzz

# `make run` and `make test` do all set-up on a fresh machine that has a Rust toolchain.
# On Windows and macOS nothing needs setting up: `cargo run --release` and `cargo test` do the same.

# Without a desktop session Mesa's device-select layer complains on every start; there it has nothing to select.
ifndef XDG_RUNTIME_DIR
export NODEVICE_SELECT ?= 1
endif

# Tests wait for the device most of the time: with two for each core it is waited for less.
export RUST_TEST_THREADS ?= $(shell expr 2 \* $$(nproc 2>/dev/null || echo 2))

.PHONY: run window test test-clients test-properties check compare setup
.DEFAULT_GOAL := run

# The first build takes minutes, and says what it does; later ones keep quiet.
QUIET := $(if $(wildcard target/release/openelm),--quiet)

# A story from the embedded demo model. Other things: make run ARGS="devices"
run: setup
	@cargo run --release $(QUIET) -- $(ARGS)

# The desktop window: a chat, and what every layer costs.
window: setup
	@cargo run --release $(QUIET) -- window $(ARGS)

test: setup
	cargo test --all-features

# Only the tests that try what chance brings; OPENELM_TEST_SEED names another chance than the usual one.
test-properties: setup
	cargo test --all-features --lib --test text --test bad_input --test chat_templates -- $(PROPERTIES)
PROPERTIES := streaming_equals a_split_anywhere text_survives spoiled_bytes twin overflow_is_set random_batches what_is_said harmless_words

# Clients that others wrote, against the program: openai-python, LiteLLM, Ray, HAProxy.
test-clients: setup
	cargo build --all-features
	@tests/clients/run.sh $(TESTS)

# What CI checks beside the tests.
check: setup
	cargo fmt --check
	cargo clippy --all-targets --all-features -- --deny warnings
	cargo clippy --lib --no-default-features -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps --all-features

# Against llama.cpp on the same adapter: make compare GGUF=model.gguf MODEL=folder
export GGUF MODEL DTYPE PROMPT TOKENS ROUNDS
compare: setup
	@cargo build --release --quiet
	@scripts/compare.sh

setup:
	@scripts/setup.sh

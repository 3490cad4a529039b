# The project's tasks. `make demo` runs the main job on a fresh machine, `make test` passes the tests.

.PHONY: demo test build sandbox clients lint deny bench bench-pages screenshots clean

# From a fresh clone to a running cluster and a working session. ARGS="--aws ROLE_ARN" uses the real AWS.
demo: build sandbox
	@scripts/demo.sh $(ARGS)

# Everything: rules, crates, and the real binaries with the real clients.
test: build sandbox clients
	cargo nextest run --workspace
	cd sandbox && cargo nextest run

build:
	cargo build --workspace

sandbox:
	cd sandbox && cargo build

# The AWS CLI, boto3, moto, the JavaScript SDK and dynamodb-admin, into target/clients.
clients:
	@crates/testkit/clients/install.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cd sandbox && cargo fmt --all --check && cargo clippy --all-targets -- -D warnings

deny:
	cargo fetch --quiet
	cargo deny --offline check bans licenses sources

# Figures go to docs/performance.md by hand: they are ratios against a baseline of the same run.
bench:
	cargo build --profile dist -p daemon -p cli --bins
	cargo build --release -p testkit --example bench_load --example bench_upstream
	cd sandbox && cargo build --release
	@PROFILE=dist python3 scripts/bench.py $(ARGS)

# How long the pages take on a full cluster. ARGS=folder keeps the cluster there.
bench-pages:
	cargo build --release --workspace --bins --examples
	cd sandbox && cargo build --release
	@cargo run --release --quiet -p testkit --example bench_pages -- $(ARGS)

# Pictures of every page in Chromium, into target/screenshots. ARGS=folder puts them elsewhere.
screenshots: build sandbox clients
	@cargo run --quiet -p testkit --example screenshots -- $(ARGS)

clean:
	cargo clean
	cd sandbox && cargo clean

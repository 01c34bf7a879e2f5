# What there is to do here. `make help` lists it.

# The Debian packages: to build, to run what was built, and for the demo and the end-to-end tests. docker/Dockerfile has the
# same.
BUILD_PACKAGES = libdpdk-dev libclang-dev pkg-config gcc libc6-dev
RUN_PACKAGES = dpdk librte-meta-bus librte-meta-mempool librte-meta-net iproute2 ethtool
# To count instructions; and for `make bench-rig`.
BENCH_PACKAGES = valgrind
RIG_PACKAGES = dpdk-dev util-linux
LAB_PACKAGES = iproute2 ethtool procps python3 nginx-light curl wrk iperf3 tcpdump traceroute iputils-ping
# promtool, for the test of the alert rules.
RULE_PACKAGES = prometheus
# A place to install schemathesis in, which sends the REST interface what its document allows, and what not.
SPEC_PACKAGES = python3-venv

CARGO ?= cargo
RUST_VERSION := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test bench gates tune build release check bench-rig bench-capsule clean deps rust

help: ## list the targets
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 18

demo: rust deps ## show gatun between real kernels: client, gateway and two servers in namespaces (KEEP=1: leave it running)
	$(CARGO) build --profile quick
	@$(SUDO) env KEEP='$(KEEP)' tests/e2e/demo.sh

test: rust deps ## all tests: unit, pcap cases, DPDK on virtual devices, end to end in namespaces
	@tests/e2e/all.sh

bench: rust deps ## measure all that there is a goal for, and print how far it is (under 10 minutes, on an idle machine)
	@benches/all.sh

# GATES=record: take what is found as the new measure.
gates: rust deps ## what must not get worse: instructions, heap and system calls, work a turn, the share at 1 M connections
	@GATES='$(GATES)' benches/counts.sh gate
	@GATES='$(GATES)' benches/huge-pages.sh 300 $(CARGO) bench -q -p gatun-bench --bench paired -- gate

tune: rust deps ## measure which prefetch hint and group suit this machine (20 minutes; VARIANTS="t1:8 t0:16")
	@benches/tune.sh $(VARIANTS)

build: rust deps ## a build for working on gatun
	$(CARGO) build

release: rust deps ## the build to install: target/release/gatun
	$(CARGO) build --release --locked

bench-rig: rust deps ## gatun and testpmd by turns between two ports of gatun-loadgen, in 6 to 12 minutes (ARGS="--pairs 3 --only G11@1k")
	@tests/e2e/deps.sh $(RIG_PACKAGES)
	$(CARGO) --config 'target."cfg(all())".runner = "$(CURDIR)/tests/e2e/as-root.sh"' bench --bench rig -- $(ARGS)

check: rust deps ## formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --no-default-features --exclude dpdk --exclude dpdk-sys -- -D warnings

bench-capsule: rust deps ## capsule 0.1.5 against a plain loop of ours with the same rewrite, paired
	cd benches/capsule && $(CARGO) run --release --target-dir ../../target/capsule

clean: ## remove what was built
	$(CARGO) clean

deps: ## install the Debian packages that are missing
	@tests/e2e/deps.sh $(sort $(BUILD_PACKAGES) $(RUN_PACKAGES) $(LAB_PACKAGES) $(BENCH_PACKAGES) $(RULE_PACKAGES) $(SPEC_PACKAGES))

rust: # is there a Rust that can build gatun?
	@have=$$($(CARGO) --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p'); \
	if [ "$$(printf '%s\n' $(RUST_VERSION) "$$have" | sort -V | head -n 1)" = $(RUST_VERSION) ]; then exit 0; fi; \
	if [ "$$have" ]; then is="this one is $$have"; else is="there is none here"; fi; \
	if command -v rustup >/dev/null; then get="Get it with: rustup update stable"; \
	elif [ -x "$$HOME/.cargo/bin/rustup" ]; then get="Get it with: . ~/.cargo/env && rustup update stable"; \
	else get="Get it with: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh    (and then a new shell)"; fi; \
	echo "gatun needs Rust $(RUST_VERSION) or newer; $$is. $$get" >&2; \
	exit 1

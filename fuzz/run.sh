#!/bin/sh
# Fuzzes the pipeline for some seconds (30 when not said otherwise) with coverage, on a stable compiler:
#
#   fuzz/run.sh [SECONDS]
#
# Inputs are kept in fuzz/corpus; what made it fail is written to fuzz/artifacts, and run again with
# fuzz/target/*/release/frames FILE.
set -eu
cd "$(dirname "$0")"
seconds=${1:-30}
target=$(rustc -vV | sed -n 's/^host: //p')
flags="-Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags="$flags -Cllvm-args=-sanitizer-coverage-$option"
done
# With a target of its own, so that build scripts are not instrumented.
RUSTFLAGS="$flags" cargo build --release --locked --target "$target" --bin frames
cargo run --quiet --release --locked --bin seeds -- ../tests/pcap corpus
mkdir -p corpus artifacts
exec "target/$target/release/frames" -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1 \
    -artifact_prefix=artifacts/ corpus

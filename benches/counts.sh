#!/usr/bin/env bash
# benches/counts.sh [gate]: counts instructions and blocks of the heap (instructions.rs, under valgrind, two minutes), and
# prints the counts beside goals, or with `gate` beside what is recorded (counts.rs). Installs gungraun's runner, of the
# version of gungraun itself, into target/tools when it is not there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")

version=$(sed -n '/^name = "gungraun"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
PATH=$target/tools/bin:$PATH
if [ "$(gungraun-runner --version 2>/dev/null)" != "gungraun-runner $version" ]; then
    # Counts do not depend on how well it is optimised.
    cargo install -q --debug --locked --root "$target/tools" --version "$version" gungraun-runner
fi

cargo bench -q -p gatun-bench --no-run --bench instructions --bench counts
mkdir -p "$target/bench"
cargo bench -q -p gatun-bench --bench instructions -- --parallel=auto --output-format=json >"$target/bench/instructions.jsonl"
cargo bench -q -p gatun-bench --bench counts -- "$@"

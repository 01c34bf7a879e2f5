#!/usr/bin/env bash
# `make test`: every test of every crate, with and without the feature `dpdk`, and the totals as its last line.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

results=$(mktemp)
trap 'rm -f "$results"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

triple=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$triple")_RUNNER
export "$runner=$PWD/tests/e2e/as-root.sh"

broken=0
# suite TITLE CARGO-ARGUMENTS...: one `cargo test`. One that ends badly without a failed test (it does not compile, or a
# test program dies) counts as a failed test.
suite() {
    local start=$SECONDS failed_before failed_now
    printf '\n=== %s\n' "$1"
    failed_before=$(total failed)
    if ! cargo test --no-fail-fast "${@:2}" </dev/null 2>&1 | tee -a "$results"; then
        failed_now=$(total failed)
        if ((failed_now == failed_before)); then broken=$((broken + 1)); fi
    fi
    echo "=== $1: $((SECONDS - start)) s"
}

# The sum of a number over all lines "test result: ok. 3 passed; 0 failed; ...".
total() {
    awk -v what="$1" '/^test result: / { for (i = 2; i <= NF; i++) if ($i == what ";") sum += $(i - 1) } END { print sum + 0 }' "$results"
}

# What differs there: the program, its replay and its checks. The engine knows nothing of the feature.
suite "Without DPDK" -p gatun --no-default-features --lib --bins --test replay --test cases
suite "With DPDK, on virtual devices and in namespaces" --workspace

passed=$(total passed)
failed=$(($(total failed) + broken))
echo
grep -E '^test .* FAILED$' "$results" || true
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))

#!/usr/bin/env bash
# `make bench`: all benches one after the other, and then what they found. One that fails does not keep the others from it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
trap 'exit 130' INT
trap 'exit 143' TERM
# For ten million connections: 1.4 GB of tables, in pages of 2 MiB.
readonly pages=1000

failed=()
# run NAME COMMAND...
run() {
    local name=$1 start=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    "$@" </dev/null || failed+=("$name")
    echo "=== $name: $((SECONDS - start)) s"
}
# bench NAME [COMMAND...]: one of them, run by a command.
bench() {
    run "$1" "${@:2}" cargo bench -q -p gatun-bench --bench "$1"
}

echo "=== building"
cargo bench -p gatun-bench --no-run </dev/null || exit 1
out=${CARGO_TARGET_DIR:-target}/bench
rm -f "$out"/{counts,micro,control,paired,summary}.json
run counts benches/counts.sh
bench micro
bench control
bench paired benches/huge-pages.sh "$pages"
bench summary
echo "$SECONDS s in all; figures are in $out/summary.json"
if ((${#failed[@]} > 0)); then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi

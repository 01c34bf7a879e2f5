#!/usr/bin/env bash
# tune.sh [HINT:AHEAD...]: builds gatun's hot path with each way of asking for lines of the cache, and measures the hits of each
# by turns: the share of the bare swap, more is better. A build takes two minutes. What wins goes into the build of a release:
# GATUN_PREFETCH=t0 GATUN_AHEAD=16 make release
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=3
variants=("$@")
((${#variants[@]})) || variants=(t1:8 t0:8 nta:8 t1:4 t1:16)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for i in "${!variants[@]}"; do
    variant=${variants[i]}
    echo "building $variant, $((i + 1)) of ${#variants[@]}" >&2
    built=$(GATUN_PREFETCH=${variant%:*} GATUN_AHEAD=${variant#*:} CARGO_PROFILE_BENCH_LTO=thin \
        cargo bench -q -p gatun-bench --no-run --message-format=json --bench paired |
        sed -n 's/.*"executable":"\([^"]*paired[^"]*\)".*/\1/p')
    cp "$built" "$work/$variant"
done

for ((round = 1; round <= rounds; round++)); do
    for variant in "${variants[@]}"; do
        echo "measuring $variant, round $round of $rounds" >&2
        benches/huge-pages.sh 300 "$work/$variant" hits |
            awk -v v="$variant" '/^G1@/ { print v, $1, $2 }' >>"$work/figures"
    done
done

printf '%-10s %10s %10s\n' 'hint:ahead' 'G1@10k' 'G1@1M'
for variant in "${variants[@]}"; do
    median() { awk -v v="$variant" -v g="$1" '$1 == v && $2 == g { print $3 }' "$work/figures" | sort -n | sed -n "$(((rounds + 1) / 2))p"; }
    printf '%-10s %10s %10s\n' "$variant" "$(median G1@10k)" "$(median G1@1M)"
done

#!/usr/bin/env bash
# huge-pages.sh COUNT COMMAND...: runs a command with so many huge pages of 2 MiB more than there are, and gives them back
# afterwards, also when it fails or is interrupted. The command runs as well when there are fewer; it says what it found.
set -uo pipefail
pages=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
count=$1
shift

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}
# change BY: to what there is now, because others may have changed it meanwhile.
change() {
    echo $(($(cat "$pages") + $1)) | as_root tee "$pages" >/dev/null
}

added=0 child=
finish() {
    local code=$?
    trap '' INT TERM
    if [[ $child ]]; then kill "$child" 2>/dev/null && wait "$child"; fi
    if ((added > 0)); then change $((-added)); fi
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ -e $pages ]]; then
    before=$(cat "$pages")
    change "$count" 2>/dev/null
    added=$(($(cat "$pages") - before))
fi
if ((added < count)); then echo "huge pages: $added of $count could be reserved" >&2; fi

"$@" <&0 &
child=$!
wait "$child"
code=$?
child=
exit "$code"

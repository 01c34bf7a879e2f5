#!/usr/bin/env bash
# Installs those of the Debian packages given as arguments that are missing, and says so before it does.
#
# No service of the machine is started or enabled by it: while apt-get runs, a policy-rc.d forbids starting, and what the
# new packages have enabled for the next boot is disabled again. Nothing else is touched.
set -euo pipefail

missing=()
for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "This is not a Debian system. Install what these packages hold, then go on: ${missing[*]}" >&2
    exit 1
fi
echo "Installing with apt-get, without starting or enabling any service:"
echo "  ${missing[*]}"

if [[ $(id -u) != 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "Installing needs root, and there is no sudo here. As root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    exec sudo "$BASH" "$0" "$@"
fi

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
policy=/usr/sbin/policy-rc.d
kept=$policy.kept-by-gatun

restore_policy() {
    if [[ -e $kept ]]; then mv -f "$kept" "$policy"; else rm -f "$policy"; fi
}

# The links by which systemd or init would start something at the next boot.
enabled() {
    find /etc/systemd/system -type l -path '*.wants/*' 2>/dev/null || true
    find /etc/rc[2345].d -name 'S*' 2>/dev/null || true
}

disable_new() {
    local link name
    comm -13 <(sort <<<"$before") <(enabled | sort) | while read -r link; do
        name=${link##*/}
        name=${name#S[0-9][0-9]}
        case $link in
            /etc/rc*) update-rc.d "$name" disable >/dev/null 2>&1 || true ;;
            *) if command -v systemctl >/dev/null; then
                   systemctl disable --quiet "$name" 2>/dev/null || true
               else
                   deb-systemd-helper disable "$name" >/dev/null || true
               fi ;;
        esac
        echo "${name%.service}"
    done | sort -u | sed 's/^/  neither started nor enabled: /'
}

before=$(enabled)
finish() {
    local code=$?
    trap '' INT TERM
    rm -f "${log:-}"
    restore_policy
    disable_new
    exit "$code"
}
# A policy kept aside by a run that was killed is the machine's own.
if [[ -e $policy && ! -e $kept ]]; then mv "$policy" "$kept"; fi
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

# shown COMMAND...: counts what the command does, and shows all it said only when it fails.
log=$(mktemp)
shown() {
    local tty=0
    [[ ! -t 1 ]] || tty=1
    "$@" </dev/null 2>&1 | tee "$log" | awk -v tty=$tty '
        /^(Get:|Unpacking|Setting up)/ { n++; if (tty) printf "\r  %d steps", n; else if (n % 100 == 0) print "  " n " steps"; fflush() }
        END { if (tty && n) print "" }' || { tail -n 40 "$log" >&2; return 1; }
}
echo "  fetching the lists of packages"
shown apt-get update -q
echo "  fetching and installing"
shown apt-get install -y -q --no-install-recommends "${missing[@]}"

#!/bin/bash
# Records again what the real ipvsadm 1.31 says on the real IPVS of Linux: every command of the transcripts (`$`, with its
# standard input after `<`) is run, and what it answers is written under it: standard output `>`, errors `!`, exit code `=`.
# What stands after `%` is run to make traffic.
#
#   ORACLE=path/to/ipvs-oracle tests/ipvsadm/record.sh [NAME ...]      (all transcripts without a NAME)
#
# ORACLE runs a shell script as root on a kernel of its own that has IPVS, with `load MODULE ...` to load modules and `topo` to
# make the network namespace `d` (VIP 10.1.0.100, servers 10.2.1.2 to 10.2.3.2); further arguments are files that the
# script finds in /mnt, where it may also write. ipvsadm and its libraries come from Debian and are unpacked, not installed.
set -euo pipefail
: "${ORACLE:?the program that runs a script on a kernel with IPVS}"
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gatun-ipvsadm
if [[ ! -x $cache/root/sbin/ipvsadm ]]; then
  mkdir -p "$cache/root" && cd "$cache"
  apt-get -qq -o APT::Sandbox::User=root download ipvsadm libpopt0 libnl-3-200 libnl-genl-3-200
  for deb in ./*.deb; do dpkg -x "$deb" root; done
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >scenario.sh <<SCENARIO
load ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_lblc ip_vs_lblcr ip_vs_dh ip_vs_sh ip_vs_sed ip_vs_nq ip_vs_fo ip_vs_ovf ip_vs_mh
load ip_vs_pe_sip
topo
ip -n d addr add 2001:db8::1/64 dev dc nodad
ip -n d addr add 2001:db8:1::1/64 dev d1 nodad
mount --bind /mnt/hosts /etc/hosts
mount --bind /mnt/services /etc/services
mount --bind /mnt/resolv.conf /etc/resolv.conf
export PATH=$cache/root/sbin:\$PATH LD_LIBRARY_PATH=$cache/root/usr/lib/x86_64-linux-gnu:$cache/root/lib/x86_64-linux-gnu LC_ALL=C
ip netns exec d bash /mnt/replay.sh
SCENARIO
: >resolv.conf
cp "$here/hosts" "$here/services" "$here/traffic.py" .
cat >replay.sh <<'REPLAY'
answer() { # of the pending command, if there is one
  [[ $command ]] || return 0
  eval "set -- $command"
  "$@" <<<"${input%$'\n'}" >/tmp/out 2>/tmp/err
  local exit=$?
  while IFS= read -r line || [[ $line ]]; do printf '> %s\n' "$line"; done </tmp/out
  while IFS= read -r line || [[ $line ]]; do printf '! %s\n' "$line"; done </tmp/err
  printf '= %s\n' "$exit"
  command= input=
}
replay() {
  command= input=
  while IFS= read -r said <&3 || [[ $said ]]; do
    case $said in
      '% '*) answer; echo "$said"; eval "${said#'% '}" >/dev/null 2>&1 ;;
      '$ '*) answer; echo "$said"; command=${said#'$ '} ;;
      '< '*) echo "$said"; input+=${said#'< '}$'\n' ;;
      '<') echo "$said"; input+=$'\n' ;;
      '> '* | '! '* | '= '* | '>' | '!') ;;
      *) answer; echo "$said" ;;
    esac
  done
  answer
}
for transcript in /mnt/*.txt; do
  ipvsadm -C; ipvsadm --set 900 120 300; ipvsadm --stop-daemon master; ipvsadm --stop-daemon backup
  replay 3<"$transcript" >"${transcript%.txt}.new"
done 2>/dev/null
REPLAY
if [[ $# == 0 ]]; then set -- $(cd "$here" && ls ./*.txt | sed 's,^./,,; s,\.txt$,,'); fi
for name; do cp "$here/$name.txt" .; done
ORACLE_S=${ORACLE_S:-900} "$ORACLE" scenario.sh replay.sh hosts services resolv.conf traffic.py ./*.txt
for name; do mv "oracle-out/$name.new" "$here/$name.txt"; done

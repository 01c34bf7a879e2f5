#!/bin/sh
# A real server: nginx on port 80 and a UDP echo on port 5353. NAME ADDRESS are its own.
set -eu
ethtool -K eth0 tx off
here=/gatun/tests/e2e
mkdir -p /run/gatun
sed "s|DIR|/run/gatun|; s|NAME|$1|; s|LISTEN|listen $2:80;|" "$here/nginx.conf" >/run/gatun/nginx.conf
"$here/echo.py" serve "$1" "$2" 5353 &
exec nginx -e /dev/stderr -c /run/gatun/nginx.conf

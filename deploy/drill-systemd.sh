#!/bin/sh
# Installs the Debian package in a container with systemd as PID 1. It starts, reloads, kills and
# stops the service, removes and purges the package, and prints the result of each check. It needs
# Debian, root, docker and debootstrap (apt-get install debootstrap), and takes a minute.
#
#   make dist && deploy/drill-systemd.sh
set -eu
cd "$(dirname "$0")/.."
deb=$(ls dist/supervisor-tp0_*_"$(dpkg --print-architecture)".deb)
name=supervisor-systemd-$$
work=$(mktemp -d)
trap 'docker rm -f "$name" >/dev/null 2>&1 || true; docker rmi -f "$name" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$work/root" >/dev/null
rm -f "$work"/root/var/cache/apt/archives/*.deb
tar -C "$work/root" -c . | docker import - "$name" >/dev/null

# systemd in a container needs these privileges.
docker run -d --name "$name" --cgroupns=private --cap-add=SYS_ADMIN --stop-signal SIGRTMIN+3 -e container=docker \
  --tmpfs /run --tmpfs /run/lock --tmpfs /tmp "$name" /lib/systemd/systemd >/dev/null
inside() { docker exec "$name" "$@"; }
until state=$(inside systemctl is-system-running 2>/dev/null) || [ "$state" = degraded ]; do sleep 0.2; done
echo "systemd is $state"
show() { inside systemctl show supervisor -P "$1"; }
is() { # is PROPERTY VALUE: wait up to 10 s until the property has the value
  n=0
  until [ "$(show "$1")" = "$2" ]; do
    n=$((n + 1))
    [ $n -lt 100 ] || { echo "FAIL: $1 is $(show "$1"), want $2"; inside journalctl -u supervisor --no-pager -n 40; exit 1; }
    sleep 0.1
  done
  echo "ok: $1=$2"
}

docker cp "$deb" "$name:/root/supervisor.deb" >/dev/null
inside dpkg -i /root/supervisor.deb >/dev/null
inside dpkg -V supervisor-tp0 && echo "ok: installed, all checksums match"
is UnitFileState disabled
inside systemctl start supervisor # returns when every child is ready
is ActiveState active
is StatusText "2 children ready"
inside /usr/bin/supervisor health --ready --config /etc/supervisor/supervisor.hcl || echo "as root: $?"

main=$(show MainPID)
inside sh -c "sed -i 's/log_level  = \"info\"/log_level = \"debug\"/' /etc/supervisor/supervisor.hcl && systemctl reload supervisor"
is StatusText reloaded
[ "$(show MainPID)" = "$main" ] && echo "ok: the reload kept the process"

inside sh -c "kill -KILL $main"
is NRestarts 1
is ActiveState active
echo "servers that run after SIGKILL of the supervisor and the restart (want 1): $(inside sh -c 'cat /proc/[0-9]*/comm' | grep -c -x -e server)"

inside systemctl kill --kill-whom=main --signal=STOP supervisor # a stopped process does not report to the watchdog
echo "waiting for the watchdog (30 s)"
n=0
until [ "$(show NRestarts)" = 2 ]; do
  n=$((n + 1))
  [ $n -lt 900 ] || { echo "FAIL: the watchdog did not restart the supervisor within 90 s"; exit 1; }
  sleep 0.1
done
is ActiveState active
inside journalctl -u supervisor --no-pager | grep -m1 -i watchdog

inside systemctl stop supervisor
is Result success
is ExecMainStatus 0
inside journalctl -u supervisor --no-pager -o cat | grep 'shutdown complete' | tail -1

inside systemctl start supervisor
inside dpkg -r supervisor-tp0 >/dev/null
[ "$(inside sh -c 'systemctl is-active supervisor || true')" = inactive ] && echo "ok: removed, the service is stopped"
inside test -e /etc/supervisor/supervisor.hcl && echo "ok: the configuration remains"
inside dpkg -P supervisor-tp0 >/dev/null
left=$(inside sh -c 'find / -xdev -name "*supervisor*" -not -path "/proc/*" -not -path "/root/*" -not -path "/var/log/*" -not -path "/usr/lib/python*"')
[ -z "$left" ] && echo "ok: purged, no file remains" || echo "FAIL: these files remain: $left"

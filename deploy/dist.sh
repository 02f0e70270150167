#!/bin/sh
# Builds a release in dist: an archive and a Debian package with the four programs for each
# architecture, and the checksums. Two builds of a commit are equal byte for byte: all times are
# that of the commit, the owner is root, and the files are sorted.
#
#   deploy/dist.sh VERSION      (make dist)
set -eu
cd "$(dirname "$0")/.."
version=${1:?"usage: deploy/dist.sh VERSION"}
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022

# A Debian version starts with a digit and has no dash (deb-version(7)).
case $version in
v[0-9]*) deb=${version#v} ;;
[0-9]*.[0-9]*) deb=$version ;;
*) deb=0~$version ;;
esac
deb=$(printf %s "$deb" | tr -c 'A-Za-z0-9.+~' .)

rm -rf dist
mkdir dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for arch in amd64 arm64; do
  name=supervisor_${version}_linux_$arch
  mkdir "$work/$name"
  GOOS=linux GOARCH=$arch make -s build VERSION="$version" BIN="$work/$name/"
  cp README.md CHANGELOG.md LICENSE NOTICE supervisor.hcl "$work/$name/"
  chmod 644 "$work/$name"/*
  chmod 755 "$work/$name/supervisor" "$work/$name/supervisorctl" "$work/$name/server" "$work/$name/client"
  tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=ustar -cf - "$name" |
    gzip -9n >"dist/$name.tar.gz"

  root=$work/deb-$arch
  make -s install-files DESTDIR="$root" PREFIX=/usr SYSCONFDIR=/etc UNITDIR=/usr/lib/systemd/system BIN="$work/$name/"
  install -D -m 644 LICENSE "$root/usr/share/doc/supervisor/copyright"
  install -D -m 644 NOTICE "$root/usr/share/doc/supervisor/NOTICE"
  gzip -9nc CHANGELOG.md >"$root/usr/share/doc/supervisor/changelog.gz"
  chmod 644 "$root/usr/share/doc/supervisor/changelog.gz"
  mkdir -p "$root/DEBIAN"
  size=$(find "$root" -type f -printf '%s\n' | awk '{s += $1} END {print int((s + 1023) / 1024)}')
  sed -e "s/@VERSION@/$deb/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" deploy/deb/control >"$root/DEBIAN/control"
  echo /etc/supervisor/supervisor.hcl >"$root/DEBIAN/conffiles"
  (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
  chmod 644 "$root"/DEBIAN/*
  for script in postinst prerm postrm; do
    install -m 755 "deploy/deb/$script" "$root/DEBIAN/$script"
  done
  dpkg-deb --root-owner-group -Zxz -z6 --build "$root" "dist/supervisor-tp0_${deb}_$arch.deb" >/dev/null
done
(cd dist && sha256sum -- * >SHA256SUMS)
ls -l dist

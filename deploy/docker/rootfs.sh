#!/bin/sh
# Makes the image's root file system: rootfs.sh BINARY DIRECTORY
# The program, what it is linked to, roots of TLS, and the names under which it is called. No shell, no package manager.
# Times are those of SOURCE_DATE_EPOCH, so that the same binary on the same system makes the same image.
set -eu
binary=$1 root=$2
: "${SOURCE_DATE_EPOCH:?is needed: seconds since 1970}"
[ "$(id -u)" = 0 ] || { echo "rootfs.sh: only root can give files their owners" >&2; exit 1; }
umask 022

mkdir -p "$root"
for dir in usr/local/bin etc/ssl/certs etc/dragonfly tmp var/lib/dragonfly var/log/dragonfly var/run/dragonfly; do
    mkdir -p "$root/$dir"
done
chmod 1777 "$root/tmp"

strip -o "$root/usr/local/bin/dragonfly" "$binary"
chmod 755 "$root/usr/local/bin/dragonfly"
for name in manager scheduler dfdaemon dfget dfcache dfctl dfinit; do
    ln -s dragonfly "$root/usr/local/bin/$name"
done

# The C library; a binary without it (musl) has nothing here.
for library in $(ldd "$binary" 2>/dev/null | grep -o '/[^ ]*' || true); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf 'root:x:0:0:root:/:/sbin/nologin\ndragonfly:x:65532:65532:dragonfly:/var/lib/dragonfly:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\ndragonfly:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
chown -R 65532:65532 "$root/var/lib/dragonfly" "$root/var/log/dragonfly" "$root/var/run/dragonfly"

find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# The first process of a node, whose own files are in $1: it mounts them over the machine's and keeps the node's one
# service, containerd, running, which it starts anew when it ends, as `systemctl restart` has it do.
set -eu
mount -t proc proc /proc
for dir in etc/containerd var/lib/containerd run/containerd run/node; do
    mkdir -p "/$dir"
    mount --bind "$1/$dir" "/$dir"
done
mount -t tmpfs tmpfs /usr/local/sbin
cat >/usr/local/sbin/systemctl <<'END'
#!/bin/sh
set -eu
[ "$*" = "restart containerd" ] || { echo "systemctl $*: a node of the lab knows only containerd" >&2; exit 1; }
before=$(cat /run/node/pid)
kill "$before"
while [ "$(cat /run/node/pid)" = "$before" ]; do sleep 0.05; done
END
chmod +x /usr/local/sbin/systemctl
touch /run/node/up
while :; do
    echo "containerd started" >>/run/node/starts
    containerd >>/run/node/containerd.log 2>&1 &
    echo $! >/run/node/pid
    wait $! || true
done

#!/bin/sh
# The first process of a lab host, in fresh mount, uts, ipc, pid and cgroup namespaces (the network's was
# joined before). Makes the host look like a machine of its own, then stays as its init.
# Arguments: NAME FOLDER GATEWAY MOUNTS, where MOUNTS has words folder=options for /sys/fs/cgroup.
set -e
name=$1 folder=$2 gateway=$3 mounts=$4

mount --make-rprivate /
hostname "$name"
mount -t proc proc /proc
# The sysfs of this network namespace hides the cgroup mounts below it.
mount -t sysfs sysfs /sys
if [ "$mounts" = "=v2" ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/init
  echo 0 > /sys/fs/cgroup/init/cgroup.procs
  for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control || true
  done
else
  mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  for mount in $mounts; do
    hierarchy=${mount%%=*} options=${mount#*=}
    mkdir -p "/sys/fs/cgroup/$hierarchy"
    case $options in
      v2) mount -t cgroup2 cgroup2 "/sys/fs/cgroup/$hierarchy" ;;
      *) mount -t cgroup -o "$options" cgroup "/sys/fs/cgroup/$hierarchy" ;;
    esac
    for alias in $(echo "$hierarchy" | tr , ' '); do
      [ -e "/sys/fs/cgroup/$alias" ] || ln -s "$hierarchy" "/sys/fs/cgroup/$alias"
    done
  done
fi

mount --bind "$folder/run" /run
mkdir -p /run/lock /run/netns /var/lib/docker /var/lib/containerd
# This machine's own engine may have a mount there.
umount /var/lib/docker 2>/dev/null || true
mount --bind "$folder/docker" /var/lib/docker
mount --bind "$folder/containerd" /var/lib/containerd
# Nobody listens at the gateway: a DNS query is refused at once and never waits.
echo "nameserver $gateway" > "$folder/resolv.conf"
mount --bind "$folder/resolv.conf" /etc/resolv.conf
exec tini -g -- sleep infinity

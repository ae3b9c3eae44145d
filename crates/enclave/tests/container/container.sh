# Starts the enclave program as a container's runtime would: $1 is the root folder, $2 is "memory" or "disk" (where the
# app's folders lie). In mount, network, IPC and perhaps pid namespaces of its own; three capabilities are left.
set -eu
mount --bind "$1" "$1"
for folder in usr bin sbin lib lib64; do
    if [ -L "/$folder" ]; then
        ln -s "$(readlink "/$folder")" "$1/$folder"
    elif [ -d "/$folder" ]; then
        mkdir "$1/$folder"
        mount --rbind "/$folder" "$1/$folder"
    fi
done
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
if [ "$2" = memory ]; then
    mount -t tmpfs -o nosuid,nodev,noexec,mode=0755 tmpfs "$1/iexec_in"
    mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmpfs "$1/iexec_out"
fi
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$1/tmp"
mount --bind "$1/iexec/archive" "$1/iexec/archive"
mount -o remount,bind,ro "$1"
exec chroot "$1" /usr/bin/env -i /usr/bin/setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+setuid,+setgid,+kill \
    /iexec/enclave run

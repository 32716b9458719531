# Runs a program of an unpacked Debian tree as if the tree were the root: private_root.sh TREE WORK PROGRAM ...
#
# Wine and GCC start programs of their own by absolute paths, so that the loader of lab.machines.fetch.prefix is not
# enough for them. Wants a mount namespace of its own (unshare --mount); WORK, read-write, is /ours in there,
# and all of it is gone with the last process. Nothing is written below TREE.
set -e
tree=$1 work=$2
shift 2
root=$work/root
mkdir -p "$root" "$work/tmp"
mount -t tmpfs -o mode=755 none "$root"
for folder in etc usr var; do
    mkdir "$root/$folder"
    mount --rbind "$tree/$folder" "$root/$folder"
    mount -o remount,bind,ro "$root/$folder"
done
for folder in bin lib lib64 sbin; do
    ln -s "usr/$folder" "$root/$folder"
done
mkdir "$root/proc" "$root/dev" "$root/tmp" "$root/ours"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$work" "$root/ours"
mount --bind "$work/tmp" "$root/tmp"
exec env -i HOME=/ours USER=root PATH=/usr/bin:/usr/sbin WINEPREFIX=/ours/prefix WINEDEBUG=-all \
    WINESERVER=/usr/lib/wine/wineserver64 WINEDLLOVERRIDES=mscoree,mshtml= XDG_RUNTIME_DIR=/ours/tmp \
    chroot "$root" "$@"

#!/bin/sh
# collect.sh BINARY ROOT: copies the program and its shared libraries into the empty folder ROOT, and adds
# the accounts and folders of a container; no shell, no package manager.
set -eu
binary=$1
root=$2
mkdir -p "$root/usr/bin" "$root/etc" "$root/model" "$root/cache" "$root/tmp"
strip -s -o "$root/usr/bin/maana" "$binary"
chmod 755 "$root/usr/bin/maana"
# A static program has none, which ldd reports as an error.
libraries=$(ldd "$binary" 2>/dev/null | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }') || libraries=
for library in $libraries; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
printf 'root:x:0:0:root:/:/nonexistent\nmaana:x:65532:65532:maana:/cache:/nonexistent\n' > "$root/etc/passwd"
printf 'root:x:0:\nmaana:x:65532:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
chmod 1777 "$root/tmp" "$root/cache"

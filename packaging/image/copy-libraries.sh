#!/bin/sh
# copy-libraries.sh PROGRAM TRIPLET ROOT: copies the dynamic loader and every shared library that PROGRAM needs,
# directly or not, into ROOT. It reads the files instead of running them (as ldd would), so it works across
# architectures.
set -eu
program=$1 triplet=$2 root=$3

find_library() {
  for folder in "/lib/$triplet" "/usr/lib/$triplet"; do
    [ -e "$folder/$1" ] && { echo "$folder/$1"; return; }
  done
  echo "the library $1 is nowhere in the build stage" >&2
  return 1
}
needed() { readelf --dynamic --wide "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

loader=$(readelf --program-headers --wide "$program" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p')
mkdir -p "$root$(dirname "$loader")" "$root/lib/$triplet"
cp -L "$(find_library "$(basename "$loader")")" "$root$loader"

queue=$(needed "$program")
while [ -n "$queue" ]; do
  next=
  for name in $queue; do
    [ "$name" != "$(basename "$loader")" ] || continue
    [ ! -e "$root/lib/$triplet/$name" ] || continue
    path=$(find_library "$name")
    cp -L "$path" "$root/lib/$triplet/$name"
    next="$next $(needed "$path")"
  done
  queue=$next
done

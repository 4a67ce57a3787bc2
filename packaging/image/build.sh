#!/bin/sh
# build.sh ROOT: compiles the program and makes ROOT the file system of the final image (and /state, which is its
# state directory). A step of the Dockerfile, run in the source folder.
set -eu
root=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=packaging/image/target.sh
. "$here/target.sh"

: "${VERSION:=$(cat VERSION)}"
set -- -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG -ffunction-sections -fdata-sections" -DNTP_SERVER_VERSION="$VERSION" -DNTP_SERVER_TESTS=OFF -DNTP_SERVER_STATIC_OPENSSL=ON -DNTP_SERVER_SMALL=ON
if [ "$target_arch" != "$build_arch" ]; then
  set -- "$@" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$target_processor" \
    -DCMAKE_C_COMPILER="$target_triplet-gcc" -DCMAKE_CXX_COMPILER="$target_triplet-g++"
fi
cmake -S . -B /tmp/build -G Ninja "$@"
cmake --build /tmp/build --target ntp-server

mkdir -p "$root/etc/ntp-server/conf.d" "$root/usr/share" "$root/var/lib" "$root/tmp" /state
"$target_triplet-strip" --strip-all -o "$root/ntp-server" /tmp/build/ntp-server
"$here/copy-libraries.sh" "$root/ntp-server" "$target_triplet" "$root"

# The licences of what is handed out: ours, and those of the libraries beside it and compiled in.
licences="$root/usr/share/doc"
install -D -m 644 LICENSE "$licences/ntp-server/LICENSE"
for package in libc6 libgcc-s1 libstdc++6 tzdata libcli11-dev libfmt-dev libseccomp-dev libssl-dev libtomlplusplus-dev \
  nettle-dev nlohmann-json3-dev; do
  install -D -m 644 "/usr/share/doc/$package/copyright" "$licences/$package/copyright"
done

# getaddrinfo reads these; the sources "files" and "dns" are part of libc itself.
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
printf 'root:x:0:0:root:/:/sbin/nologin\nntp:x:65532:65532:ntp-server:/var/lib/ntp-server:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nntp:x:65532:\n' >"$root/etc/group"
# For TZ: the zones alone, without the variants that count leap seconds and without the tables.
cp -a /usr/share/zoneinfo "$root/usr/share/zoneinfo"
(cd "$root/usr/share/zoneinfo" && rm -rf posix right localtime posixrules leapseconds tzdata.zi ./*.tab)
chmod 1777 "$root/tmp"

# Permitted, not effective: a program whose file demands a capability that the container was denied
# cannot even be started, and this one raises it by itself when it is there. BuildKit keeps the attribute.
setcap cap_net_bind_service=p "$root/ntp-server"

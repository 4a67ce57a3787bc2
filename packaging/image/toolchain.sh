#!/bin/sh
# toolchain.sh native|cross: what the build stage needs, from Debian. A step of the Dockerfile.
set -eu
# shellcheck source=packaging/image/target.sh
. "$(dirname "$0")/target.sh"

apt_update() { apt-get -o Acquire::Retries=3 update -qq; }
# A build stage that is lost in a power cut is built again: no need to wait for the disk after every file.
apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -o Dpkg::Options::=--force-unsafe-io \
    install -y -qq --no-install-recommends "$@" >/dev/null
}

case "$1" in
  native)
    apt_update
    # The older zone names (US/Eastern) are in a package of their own from Debian 13 on.
    legacy=$(apt-cache --names-only search '^tzdata-legacy$' | cut -d' ' -f1)
    apt_install g++ cmake ninja-build libcap2-bin tzdata ${legacy:+"$legacy"} \
      libcli11-dev libtomlplusplus-dev libfmt-dev libseccomp-dev libssl-dev nettle-dev nlohmann-json3-dev
    ;;
  cross)
    [ "$target_arch" != "$build_arch" ] || exit 0
    dpkg --add-architecture "$target_arch"
    apt_update
    # The libraries are Debian's own for that architecture, with its security updates.
    apt_install "g++-$target_gnu_package" "libc6-dev:$target_arch" "libstdc++6:$target_arch" "libgcc-s1:$target_arch" \
      "libtomlplusplus-dev:$target_arch" "libfmt-dev:$target_arch" "libseccomp-dev:$target_arch" "libssl-dev:$target_arch" \
      "nettle-dev:$target_arch"
    ;;
  *) echo "usage: toolchain.sh native|cross" >&2; exit 64 ;;
esac
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb

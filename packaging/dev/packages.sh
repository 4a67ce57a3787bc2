# Debian packages by purpose (the same names in Debian 12 and 13), and how to have them. Sourced.
packages_build=(g++ cmake ninja-build libcli11-dev libfmt-dev libseccomp-dev libssl-dev libtomlplusplus-dev nettle-dev nlohmann-json3-dev)
packages_test=(libgtest-dev python3 iproute2 procps strace tzdata)
packages_clang=(clang-19 libclang-rt-19-dev llvm-19)
packages_lint=(clang-19 clang-format-19 clang-tidy-19 scdoc man-db)
packages_bench=(python3 iproute2 ethtool util-linux libbenchmark-dev)
packages_coverage=(gcovr)
packages_memcheck=(valgrind)
packages_interop=(python3 iproute2 util-linux gcc make)
packages_kernel=(python3 gcc util-linux qemu-system-x86)
packages_docker=(python3 iproute2 ca-certificates)

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "dev: need root or sudo for: $*" >&2
    return 1
  fi
}

# install_packages PURPOSE…: installs what is missing of the lists; silent and quick when nothing is.
install_packages() {
  local purpose name missing=()
  for purpose in "$@"; do
    local -n list="packages_$purpose"
    for name in "${list[@]}"; do
      dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed' || missing+=("$name")
    done
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "dev: installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

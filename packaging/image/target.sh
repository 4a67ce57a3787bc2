# shellcheck shell=sh disable=SC2034
# Sourced: the machine that compiles and the machine that is compiled for. BuildKit sets TARGETARCH;
# the older builder leaves it empty unless it is given with --build-arg.
build_arch=$(dpkg --print-architecture)
target_arch=${TARGETARCH:-$build_arch}
case "$target_arch" in
  amd64) target_triplet=x86_64-linux-gnu target_processor=x86_64 target_gnu_package=x86-64-linux-gnu ;;
  arm64) target_triplet=aarch64-linux-gnu target_processor=aarch64 target_gnu_package=aarch64-linux-gnu ;;
  *) echo "TARGETARCH=$target_arch is not supported; use amd64 or arm64" >&2; exit 64 ;;
esac

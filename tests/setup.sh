#!/usr/bin/env bash
# Installs Debian packages that are missing, saying so; and says what to do where it can't.
#
#   setup.sh PACKAGE...
set -euo pipefail

if ! command -v cargo >/dev/null; then
  echo "setup: there is no cargo; install Rust (https://rustup.rs), version 1.94 or later" >&2
  exit 1
fi

missing=()
for package in "$@"; do
  if command -v dpkg-query >/dev/null; then
    [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) = *' installed' ]] || missing+=("$package")
  fi
done
if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is no Debian; should the build lack something, it is one of: $*" >&2
  exit 0
fi
((${#missing[@]})) || exit 0

root() { if ((EUID)); then sudo "$@"; else "$@"; fi; }
echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
root apt-get -qq -o DPkg::Lock::Timeout=300 update >&2 || true
root apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}" >&2 || {
  echo "setup: could not install ${missing[*]}; install them by hand and try again" >&2
  exit 1
}

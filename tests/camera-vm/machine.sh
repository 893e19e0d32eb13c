#!/usr/bin/env bash
# Boots a small virtual machine that has cameras, and runs a script in it.
#
#   machine.sh SCRIPT [FILE...]
#
# The cameras are those of vivid, the kernel's own virtual camera driver: real V4L2 capture devices
# to everything above them. A kernel of Debian's runs in QEMU, with KVM where that works and
# emulated where not; the host's own kernel is neither used nor changed. SCRIPT runs as root in
# busybox's shell; it finds each FILE on its path, with the shared libraries that it needs, and
# v4l2-ctl; $accel is kvm or tcg (emulated). What it prints arrives on standard output as it comes.
#
# Environment:
#   CAMERA_VM_CAMERAS  how many cameras (2; /dev/video0 up)
#   CAMERA_VM_LIMIT    seconds that SCRIPT may take (300)
#   CAMERA_VM_MEMORY   the machine's memory in MiB (2048)
#   CAMERA_VM_ACCEL    kvm or tcg, which skips trying KVM
#
# The status is SCRIPT's; 124 where it took too long; 77 where no machine can be started, with the
# reason on standard error; 70 where the machine died.
set -euo pipefail

cameras=${CAMERA_VM_CAMERAS:-2}
limit=${CAMERA_VM_LIMIT:-300}
memory=${CAMERA_VM_MEMORY:-2048}

cannot() { echo "camera-vm: $*" >&2; exit 77; }
as_root() { if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi; }

script=${1:?usage: machine.sh SCRIPT [FILE...]}
shift

# --- What the host must have -------------------------------------------------------------------

PATH=$PATH:/usr/sbin:/sbin
[[ $(uname -sm) == 'Linux x86_64' ]] || cannot "needs Linux on x86_64, not $(uname -sm)"
command -v apt-get >/dev/null || cannot 'needs apt, for a Debian kernel'
missing=()
while read -r program package; do
  command -v "$program" >/dev/null || missing+=("$package")
done <<'PROGRAMS'
qemu-system-x86_64 qemu-system-x86
busybox busybox-static
cpio cpio
depmod kmod
v4l2-ctl v4l-utils
PROGRAMS
if ((${#missing[@]})); then
  echo "camera-vm: installing ${missing[*]}" >&2
  as_root apt-get -qq update >&2 || true
  as_root apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends \
    "${missing[@]}" >&2 || cannot "cannot install ${missing[*]}"
fi

# --- The kernel and what every machine has, kept between runs ----------------------------------

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Copies a file into a tree, and the shared libraries that it needs.
add() { # add FILE TREE PATH
  install -D "$1" "$2/$3"
  ldd "$1" 2>/dev/null | grep -o '/[^ )]*' | while read -r library; do
    [[ -e $2$library ]] || install -D "$library" "$2$library"
  done || true # a static program needs none
}
archive() { (cd "$1" && find . | cpio --quiet --create --format=newc --owner=0:0); }

package=$(apt-cache depends linux-image-amd64 2>/dev/null | awk '$1 == "Depends:" { print $2; exit }')
[[ $package ]] || cannot 'apt knows no linux-image-amd64; try apt-get update'
version=${package#linux-image-}
store=${XDG_CACHE_HOME:-$HOME/.cache}/keepsight-camera-vm/$version-$(sha256sum "$0" | cut -c 1-12)

build_store() {
  local deb=$work/deb tree=$work/tree made=$work/made image
  echo "camera-vm: unpacking $package" >&2
  mkdir -p "$deb/modules" "$made" "$tree"/{bin,dev,proc,sys,tmp,etc,modules}
  (cd "$deb" && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2) || cannot "cannot download $package"
  dpkg-deb -x "$deb"/*.deb "$deb"
  image=$deb/boot/vmlinuz-$version
  # Emulated, unpacking the kernel takes longer than booting it, so it is unpacked here. Its
  # header says where the packed part begins: setup_sects at 497, payload_offset at 584.
  number() { od -An -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' '; }
  tail -c "+$(((1 + $(number 497 1)) * 512 + $(number 584 4) + 1))" "$image" |
    xz -dc --single-stream >"$made/kernel" 2>/dev/null || true
  [[ $(head -c 4 "$made/kernel") == $'\x7fELF' ]] || cp "$image" "$made/kernel"
  depmod -b "$deb" "$version"
  modprobe -d "$deb" -S "$version" --show-depends vivid | while read -r _ module _; do
    cp "$module" "$tree/modules/"
    basename "$module"
  done >"$tree/modules/order"
  add "$(command -v busybox)" "$tree" /bin/busybox
  add "$(command -v v4l2-ctl)" "$tree" /bin/v4l2-ctl
  install "${BASH_SOURCE[0]%/*}/init" "$tree/init"
  archive "$tree" >"$made/base.cpio"
  mkdir -p "${store%/*}"
  # Another run may have been faster.
  mv -T "$made" "$store" 2>/dev/null || [[ -e $store/base.cpio ]]
}
[[ -e $store/base.cpio ]] || build_store

# --- One start of the machine ------------------------------------------------------------------

boot() { # boot ACCEL SECONDS
  local cpu=max,la57=off
  [[ $1 == kvm ]] && cpu=host
  # QEMU opens the path anew, which a pipe allows whatever standard output is; hence cat.
  timeout -k 5 "$2" qemu-system-x86_64 -accel "$1" -cpu "$cpu" -M q35 -smp 2 -m "$memory" \
    -nodefaults -no-user-config -no-reboot -display none \
    -kernel "$store/kernel" -initrd "$work/initrd" \
    -append 'console=ttyS0 quiet panic=-1 oops=panic mitigations=off nowatchdog cryptomgr.notests' \
    -serial "file:$work/console" -chardev file,id=output,path=/dev/stdout -serial chardev:output \
    </dev/null 2>"$work/qemu" | cat || true
}

# The guest's files: what it runs, and how. A guest says how its script ended in its last line.
load() { # load SCRIPT CAMERAS LIMIT FILE...
  local tree=$work/run script=$1 nodes
  rm -rf "$tree"
  mkdir -p "$tree/app"
  install "$script" "$tree/script"
  # Each camera is one capture node with one input, a webcam.
  nodes=$(printf '1,%.0s' $(seq "$2"))
  nodes=${nodes%,}
  cat >"$tree/settings" <<SETTINGS
cameras=$2 limit=$3 accel=$accel
parameters="n_devs=$2 node_types=$nodes num_inputs=$nodes"
SETTINGS
  shift 3
  for file in "$@"; do add "$file" "$tree" "/app/${file##*/}"; done
  cat "$store/base.cpio" <(archive "$tree") >"$work/initrd" # the kernel reads one after the other
}

# KVM may be there and yet not run a guest (in some virtual machines), so it is tried, once a boot.
accel=${CAMERA_VM_ACCEL:-}
if [[ ! $accel ]]; then
  verdict=$store/accel-$(cat /proc/sys/kernel/random/boot_id)
  if [[ ! -e $verdict ]]; then
    echo tcg >"$work/verdict"
    if [[ -w /dev/kvm ]]; then
      echo 'true' >"$work/true"
      load "$work/true" 0 5
      { boot kvm 15 | grep -q '^camera-vm-status 0' && echo kvm >"$work/verdict"; } 2>/dev/null || true
    fi
    mv "$work/verdict" "$verdict"
  fi
  accel=$(cat "$verdict")
fi
echo "camera-vm: Linux $version, $cameras cameras, $([[ $accel == kvm ]] && echo KVM || echo emulated)" >&2

load "$script" "$cameras" "$limit" "$@"
boot "$accel" $((limit + 120)) | while IFS= read -r line; do
  if [[ $line == 'camera-vm-status '* ]]; then echo "${line#* }" >"$work/status"; else echo "$line"; fi
done
if [[ ! -s $work/status ]]; then
  tail -n 30 "$work/qemu" "$work/console" >&2
  echo 'camera-vm: the machine died' >&2
  exit 70
fi
exit "$(cat "$work/status")"

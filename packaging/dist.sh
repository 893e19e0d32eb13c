#!/usr/bin/env bash
# Packs a built binary with what belongs beside it, and tries the package out.
#
#   dist.sh BINARY
set -euo pipefail
cd "$(dirname "$0")/.."

binary=${1:?"usage: dist.sh BINARY"}
version=$("$binary" --version | cut -d' ' -f2)
target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
name=keepsight-$version-$target
out=target/dist

rm -rf "${out:?}/$name"
mkdir -p "$out/$name"
packaging/notices.sh --target "$target" >"$out/$name/NOTICE"
install -m 755 "$binary" "$out/$name/keepsight"
install -m 644 LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md \
  packaging/keepsight.toml packaging/keepsight.service "$out/$name"

# The same contents give the same archive.
time=@$(git log -1 --format=%ct 2>/dev/null || echo 0)
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="$time" \
  -C "$out" -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
rm -rf "${out:?}/$name"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")

# As somebody who has nothing but the archive.
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
(cd "$out" && sha256sum --quiet --check "$name.tar.gz.sha256")
tar -C "$trial" -xzf "$out/$name.tar.gz"
cd "$trial/$name"
status=0
XDG_STATE_HOME=$trial/state ./keepsight check --config keepsight.toml || status=$?
# 0: all is well; 1: something is less than it could be here, such as a missing GPU.
if ((status > 1)); then
  rm "$OLDPWD/$out/$name.tar.gz"{,.sha256}
  echo "dist: the packed binary doesn't like the packed configuration: exit code $status" >&2
  exit 1
fi
cd - >/dev/null
echo "packed: $out/$name.tar.gz ($(du -h "$out/$name.tar.gz" | cut -f1))"

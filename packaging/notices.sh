#!/usr/bin/env bash
# Prints the notices that belong beside a binary: every crate that is linked into it, with its
# licence and the texts that its package ships, and those of the model and the pictures in it.
#
#   notices.sh [--features and other options of cargo tree]
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/texts" "$scratch/users"

# Name, version and licence of each; macros and build scripts are not linked. Crates of this
# workspace have their folder behind the version.
cargo tree --locked --package keepsight --edges normal,no-proc-macro --prefix none \
  --format '{p}|{l}' "$@" | sed 's/ (\*)$//' | grep -v '(/.*)' | sort -u >"$scratch/crates"

registries=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*)
while IFS='|' read -r package licence; do
  name=${package%% *}
  version=${package##* v}
  folder=
  for registry in "${registries[@]}"; do
    if [[ -d $registry/$name-$version ]]; then
      folder=$registry/$name-$version
    fi
  done
  if [[ -z $folder ]]; then
    echo "notices: the sources of $name $version are nowhere in ${registries[*]}" >&2
    exit 1
  fi
  texts=0
  for file in "$folder"/{LICENSE,LICENCE,COPYING,COPYRIGHT,NOTICE,UNLICENSE,license}*; do
    [[ -f $file ]] || continue
    # Many packages ship the same text; it is printed once.
    key=$(tr -d '\r' <"$file" | sed 's/[[:space:]]*$//' | sha256sum | cut -c1-16)
    tr -d '\r' <"$file" >"$scratch/texts/$key"
    echo "$name $version" >>"$scratch/users/$key"
    texts=$((texts + 1))
  done
  printf '%-40s %s%s\n' "$name $version" "$licence" "$( ((texts)) || echo '  (ships no text)')"
done <"$scratch/crates" >"$scratch/list"

cat <<'TEXT'
Keepsight is licensed under MIT or Apache-2.0, as you like: LICENSE-MIT, LICENSE-APACHE.
It holds the works of others that are listed here, each under its own licence. Where a package
ships no text of its licence, the texts of the same name below and beside this file hold.

TEXT
cat "$scratch/list"
rule=$(printf '=%.0s' {1..78})
for notice in plugins/video-tracker/models/NOTICE plugins/scene/assets/NOTICE; do
  printf '\n%s\n%s\n\n' "$rule" "$notice"
  cat "$notice"
done
for users in "$scratch"/users/*; do
  printf '\n%s\n' "$rule"
  sort -u "$users" | paste -sd, | sed 's/,/, /g' | fold -s -w 78
  printf '\n'
  cat "$scratch/texts/$(basename "$users")"
done

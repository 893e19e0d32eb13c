#!/usr/bin/env bash
# Checks the page: types, unit tests, and that dist/ is what the sources build.
#
# Where Node or its packages can't be had it says so and passes: whoever runs cargo needs neither,
# since the built page is in the tree.
set -euo pipefail
cd "$(dirname "$0")"

skip() { echo "skipped: the page's tests: $*" >&2; exit 0; }

if ! command -v npm >/dev/null; then
  ../tests/setup.sh nodejs npm || skip "there is no npm"
fi
command -v npm >/dev/null || skip "there is no npm; install Node 18 or later"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)' ||
  skip "Node $(node --version) is older than 18"
npm ci --silent --no-audit --no-fund --ignore-scripts || skip "its packages can't be fetched"

npm run --silent check
npm test --silent
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
npx vite build --logLevel warn --outDir "$built" --emptyOutDir
diff -r dist "$built" || {
  echo "web-ui: dist/ is not what the sources build; run \`make ui\` and commit it" >&2
  exit 1
}
node build-size.js

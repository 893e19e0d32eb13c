// Prints what the built page weighs on the wire, and fails where that is too much.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BYTES_MAX = 60 * 1024;

const total = readdirSync("dist").reduce((sum, name) => {
  const size = gzipSync(readFileSync(`dist/${name}`), { level: 9 }).length;
  console.log(`${name.padEnd(12)} ${size} bytes gzipped`);
  return sum + size;
}, 0);
console.log(`${"in all".padEnd(12)} ${total} of at most ${BYTES_MAX} bytes gzipped`);
process.exit(total > BYTES_MAX ? 1 : 0);

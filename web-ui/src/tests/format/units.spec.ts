import { expect, test } from "vitest";

import { bytes, milliseconds, span } from "../../format/units";

test("times and amounts are short and have their unit", () => {
  const table: [string, string][] = [
    [milliseconds(null), "–"],
    [milliseconds(0.25), "250 µs"],
    [milliseconds(31.42), "31.4 ms"],
    [milliseconds(420.4), "420 ms"],
    [milliseconds(12_345), "12.3 s"],
    [span(null), "–"],
    [span(1.25), "1.3 s"],
    [span(3), "3 s"],
    [span(59), "59 s"],
    [span(60), "1 min"],
    [span(3725), "1 h 2 min"],
    [span(86_400), "1 d"],
    [span(100_000), "1 d 3 h"],
    [bytes(null), "–"],
    [bytes(17), "17 B"],
    [bytes(1536), "1.5 KiB"],
    [bytes(39 << 20), "39.0 MiB"],
    [bytes(150 * 2 ** 30), "150 GiB"],
  ];
  for (const [found, expected] of table) expect(found).toBe(expected);
});

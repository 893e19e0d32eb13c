/** One part of a `multipart/x-mixed-replace` body. */
export interface Part {
  /** By name in lower case. */
  headers: ReadonlyMap<string, string>;
  bytes: Uint8Array;
}

/**
 * Takes a `multipart/x-mixed-replace` body apart as it comes.
 *
 * Every part must say its `Content-Length`, as Keepsight's do: then pictures need no search for
 * the boundary. Throws where the body is something else, or a part is larger than
 * {@link PART_BYTES_MAX}.
 */
export class MultipartReader {
  private buffer = new Uint8Array(0);

  /** Gives the parts that `chunk` completes. */
  push(chunk: Uint8Array): Part[] {
    const joined = new Uint8Array(this.buffer.length + chunk.length);
    joined.set(this.buffer);
    joined.set(chunk, this.buffer.length);
    let rest = joined;
    const parts: Part[] = [];
    for (;;) {
      const found = firstPart(rest);
      if (!found) break;
      parts.push(found.part);
      rest = rest.subarray(found.end);
    }
    this.buffer = rest.slice();
    return parts;
  }
}

/** The part at the beginning of `bytes` and where it ends, or `null` while some of it lacks. */
function firstPart(bytes: Uint8Array): { part: Part; end: number } | null {
  const headEnd = find(bytes, HEAD_END);
  if (headEnd < 0) {
    if (bytes.length > HEAD_BYTES_MAX) throw new Error("a part's headers do not end");
    return null;
  }
  const headers = new Map<string, string>();
  for (const line of new TextDecoder().decode(bytes.subarray(0, headEnd)).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  const length = Number(headers.get("content-length") ?? Number.NaN);
  if (!Number.isInteger(length) || length < 0 || length > PART_BYTES_MAX) {
    throw new Error("a part does not say how long it is");
  }
  const start = headEnd + HEAD_END.length;
  const end = start + length;
  return end > bytes.length ? null : { part: { headers, bytes: bytes.slice(start, end) }, end };
}

function find(bytes: Uint8Array, wanted: Uint8Array): number {
  for (let at = 0; at + wanted.length <= bytes.length; at += 1) {
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}

const HEAD_END = new TextEncoder().encode("\r\n\r\n");
const HEAD_BYTES_MAX = 4096;

/** Far more than a picture of any camera takes. */
export const PART_BYTES_MAX = 64 << 20;

import { expect, test } from "vitest";

import type { FrameTracks, Track } from "../../server/wire";
import { colour, drawTracks, label } from "../../streams/drawing";
import { MultipartReader, PART_BYTES_MAX } from "../../streams/multipart";
import { RecentTracks } from "../../streams/recentTracks";
import { TRAIL_LENGTH, Trails } from "../../streams/trails";

function part(body: string, headers = `Content-Length: ${body.length}\r\nX-Frame-Sequence: 7`) {
  return new TextEncoder().encode(`--frame\r\nContent-Type: image/jpeg\r\n${headers}\r\n\r\n${body}\r\n`);
}

test("parts come whole however the body is cut", () => {
  const body = new Uint8Array([...part("first"), ...part("\r\n\r\n--frame"), ...part("")]);
  for (const step of [1, 2, 7, body.length]) {
    const reader = new MultipartReader();
    const found: string[] = [];
    for (let at = 0; at < body.length; at += step) {
      for (const one of reader.push(body.slice(at, at + step))) {
        expect(one.headers.get("x-frame-sequence")).toBe("7");
        found.push(new TextDecoder().decode(one.bytes));
      }
    }
    expect(found).toEqual(["first", "\r\n\r\n--frame", ""]);
  }
});

test("a body that is no such thing is refused before it fills the memory", () => {
  for (const headers of ["X: 1", "Content-Length: -1", `Content-Length: ${PART_BYTES_MAX + 1}`]) {
    expect(() => new MultipartReader().push(part("x", headers))).toThrow();
  }
  expect(() => new MultipartReader().push(new Uint8Array(10_000))).toThrow();
});

function track(but: Partial<Track> = {}): Track {
  return {
    track_id: 3,
    x: 10,
    y: 20,
    width: 30,
    height: 40,
    confidence: 0.91,
    class: "person",
    class_id: 0,
    state: "confirmed",
    since_seconds: 2,
    ...but,
  };
}

function frame(sequence: number): FrameTracks {
  const size = { width: 100, height: 100 };
  return { stream: "door", plugin: "tracker", sequence, latency_ms: 1, size, tracks: [track()] };
}

test("a picture finds the tracks of its own frame, whichever came first", async () => {
  const recent = new RecentTracks();
  // Of a stream without tracks none are waited for.
  expect(await recent.of(1, 100_000)).toBeNull();
  expect(recent.come).toBe(false);
  recent.add(frame(1));
  expect(recent.come).toBe(true);
  expect((await recent.of(1, 1000))?.sequence).toBe(1);

  const later = recent.of(2, 1000);
  recent.add(frame(2));
  expect((await later)?.sequence).toBe(2);

  // Frames that were passed over have none, and are not waited for.
  recent.add(frame(5));
  expect(await recent.of(4, 100_000)).toBeNull();
  const skipped = recent.of(6, 100_000);
  recent.add(frame(7));
  expect(await skipped).toBeNull();
  expect(await recent.of(8, 1)).toBeNull();
});

test("trails follow the feet, are bounded, and end with their track", () => {
  const trails = new Trails();
  for (let step = 0; step < TRAIL_LENGTH + 3; step += 1) trails.add([track({ x: step })]);
  expect(trails.of(3).length).toBe(TRAIL_LENGTH);
  expect(trails.of(3).at(-1)).toEqual([TRAIL_LENGTH + 2 + 15, 60]);
  trails.add([]);
  expect(trails.of(3)).toEqual([]);
});

test("labels say what was asked for", () => {
  const shown = { boxes: true, ids: true, classes: true, trails: true };
  expect(label(track(), shown)).toBe("#3 person 91 %");
  expect(label(track(), { ...shown, ids: false })).toBe("person 91 %");
  expect(label(track(), { ...shown, ids: false, classes: false })).toBe("");
  expect(colour(1)).not.toBe(colour(2));
});

test("boxes are drawn at the picture's scale, and a lost track is not", () => {
  const boxes: number[][] = [];
  const context = new Proxy({} as Record<string, unknown>, {
    get: (_, name) => {
      if (name === "strokeRect") return (...box: number[]) => boxes.push(box);
      if (name === "measureText") return () => ({ width: 10 });
      if (name === "canvas") return { width: 200, height: 400 };
      return () => {};
    },
    set: () => true,
  }) as unknown as CanvasRenderingContext2D;
  const tracks = [track(), track({ track_id: 4, state: "lost" })];
  const shown = { boxes: true, ids: true, classes: true, trails: true };
  const [canvas, size] = [{ width: 200, height: 400 }, { width: 100, height: 100 }];
  drawTracks(context, canvas, size, tracks, new Trails(), shown, 2);
  expect(boxes).toEqual([[20, 80, 60, 160]]);
});

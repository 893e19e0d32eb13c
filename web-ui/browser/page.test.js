// The page in a real browser, served by the real binary.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { chromium } from "playwright-core";

import { BOUND_MS, Keepsight } from "./keepsight.js";

const SCENE = `
[streams.scene]
source = "scene:?targets=5&seed=1"
plugins = ["tracker", "stats"]
[plugins.tracker]
use = "video-tracker"
[plugins.stats]
use = "frame-stats"
[plugins.faulty]
use = "fault-injector"
`;

/** Writes a scene with its truth; an example of the crate `keepsight-scene`. */
const PICTURES =
  process.env.PICTURES ?? new URL("../../target/debug/examples/pictures", import.meta.url).pathname;

const SCREENSHOTS = process.env.SCREENSHOTS;

let browser;
let keepsight;
let context;
let page;
let complaints;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Root, as whom continuous integration runs, can't have the browser's own sandbox.
    args: [...(process.getuid() === 0 ? ["--no-sandbox"] : []), "--disable-gpu"],
  });
});
after(() => browser.close());

beforeEach(() => {
  keepsight = new Keepsight();
});
afterEach(async () => {
  await context?.close();
  await keepsight.stop();
  rmSync(keepsight.folder, { recursive: true, force: true });
});

/** Opens the page; whatever the browser complains of, or asks of anybody else, is kept. */
async function open(options = {}) {
  context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
  context.setDefaultTimeout(BOUND_MS);
  page = await context.newPage();
  complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== keepsight.url && protocol !== "blob:") complaints.push(`asked ${request.url()}`);
  });
  await page.goto(keepsight.url);
}

async function screenshot(name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({
    path: join(SCREENSHOTS, `${name}.jpg`),
    fullPage: true,
    quality: 85,
    type: "jpeg",
  });
}

function pluginIs(name, state) {
  return page.waitForSelector(`[data-plugin="${name}"][data-state="${state}"]`);
}

function pictureComes(stream) {
  return page.waitForFunction((stream) => {
    const canvas = document.querySelector(`[data-stream="${stream}"] canvas`);
    return canvas && !canvas.hidden && canvas.dataset.sequence > 0;
  }, stream);
}

test("the page loads, shows what there is, and asks nobody else", async () => {
  await keepsight.start(SCENE);
  await open();
  await pluginIs("tracker", "RUNNING");
  await pluginIs("stats", "RUNNING");
  await pluginIs("faulty", "INITIALIZED");
  await pictureComes("scene");
  await page.waitForSelector(".in-view tbody tr");
  await page.waitForFunction(() => document.querySelectorAll(".graph").length >= 2);
  assert.deepEqual(complaints, []);
  const policy = (await page.request.get(keepsight.url)).headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  await screenshot("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await screenshot("dark");
  await page.setViewportSize({ width: 390, height: 844 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `${wide} pixels wide on a phone`);
  await screenshot("phone");
});

test("boxes are drawn at the scene's truth, in the picture of the same frame", async () => {
  // What is drawn where is known exactly: the detections given are the truth of the same scene.
  const scene = "scene:?targets=5&seed=1&fps=10&frames=600";
  const folder = join(keepsight.folder, "truth");
  execFileSync(PICTURES, [scene, folder]);
  const truth = readFileSync(join(folder, "gt/gt.txt"), "utf8");
  const objects = truth.trim().split("\n").map((line) => {
    const [frame, , x, y, width, height, , , visibility] = line.split(",").map(Number);
    return { sequence: frame - 1, x, y, width, height, visibility };
  });
  await keepsight.start(`
[streams.scene]
source = "${scene}"
plugins = ["tracker"]
[plugins.tracker]
use = "video-tracker"
[plugins.tracker.config]
detections = "${join(folder, "gt/gt.txt")}"
`);
  await open();
  await pictureComes("scene");
  const found = await page.evaluate(
    async ([objects, bound]) => {
      const canvas = document.querySelector("[data-stream=scene] canvas");
      for (const box of document.querySelectorAll(".toggles input")) {
        const name = box.parentElement.textContent;
        if (box.checked && ["Numbers", "Classes", "Trails"].includes(name)) box.click();
      }
      const frames = new Map();
      const events = new EventSource("/v1/events?stream=scene");
      events.addEventListener("tracks", (event) => {
        const data = JSON.parse(event.data);
        frames.set(Number(data.sequence), data);
      });
      const end = Date.now() + bound;
      while (Date.now() < end) {
        await new Promise(requestAnimationFrame);
        const sequence = Number(canvas.dataset.sequence);
        const frame = frames.get(sequence);
        if (!frame || canvas.dataset.tracks === "unknown") continue;
        const { width, height } = frame.size;
        const here = objects.filter((object) => object.sequence === sequence);
        // Whole, unhidden, and with nobody else's box across its sides.
        const object = here.find(
          (object) =>
            object.visibility === 1 &&
            object.x > 8 &&
            object.y > 8 &&
            object.x + object.width < width - 8 &&
            object.y + object.height < height - 8 &&
            here.every(
              (other) =>
                other === object ||
                other.x > object.x + object.width + 8 ||
                other.x + other.width < object.x - 8,
            ),
        );
        const centre = (box) => [box.x + box.width / 2, box.y + box.height / 2];
        const track = frame.tracks.find(
          (track) =>
            object &&
            track.state === "confirmed" &&
            Math.hypot(centre(track)[0] - centre(object)[0], centre(track)[1] - centre(object)[1]) < 20,
        );
        if (!track) continue;
        const scale = canvas.width / width;
        const pixels = canvas.getContext("2d");
        // The tracker smooths what it is given, by a few pixels.
        const around = [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5];
        const at = (x, y) =>
          around.map((step) => [
            ...pixels.getImageData(Math.round((x + step) * scale), Math.round(y * scale), 1, 1).data,
          ]);
        // The track's colour, as the browser makes it of the same name.
        const hue = ((track.track_id * 137.508) % 360).toFixed(0);
        const probe = document.createElement("canvas").getContext("2d");
        probe.fillStyle = `hsl(${hue} 90% 60%)`;
        probe.fillRect(0, 0, 1, 1);
        const colour = [...probe.getImageData(0, 0, 1, 1).data];
        events.close();
        const y = object.y + object.height / 2;
        const sides = { left: at(object.x, y), right: at(object.x + object.width, y) };
        return { colour, ...sides, middle: at(object.x + object.width / 2, y), object, track };
      }
      return null;
    },
    [objects, BOUND_MS],
  );
  assert.ok(found, "no object stood wholly in the picture by itself");
  const far = (pixels) =>
    Math.min(
      ...pixels.map((pixel) =>
        Math.max(...found.colour.map((value, index) => Math.abs(value - pixel[index]))),
      ),
    );
  for (const side of ["left", "right"]) {
    assert.ok(far(found[side]) < 60, `no line at the ${side}: ${JSON.stringify(found)}`);
  }
  assert.ok(far(found.middle) >= 60, `its colour is everywhere: ${JSON.stringify(found)}`);
});

test("a plugin fails before one's eyes, says why, and recovers", async () => {
  await keepsight.start(SCENE);
  await open();
  await pluginIs("faulty", "INITIALIZED");
  await page.waitForSelector(".in-view tbody tr");
  assert.equal(await keepsight.tool("faulty", "fail", { kind: "broken" }), 500);
  await pluginIs("faulty", "FAILED");
  const first = await page.locator("[data-plugin]").first().getAttribute("data-plugin");
  assert.equal(first, "faulty", "trouble comes first");
  await page.waitForSelector("[data-plugin=faulty] .complaint");
  await screenshot("trouble");
  // It is built anew after its back-off, by itself.
  await pluginIs("faulty", "INITIALIZED");
  await page.waitForSelector(".events >> text=FAILED");
});

test("what was put right works again after a reload from the page", async () => {
  const mended = join(keepsight.folder, "mended");
  await keepsight.start(`
[plugins.faulty]
use = "fault-injector"
restart = { budget = 0 }
[plugins.faulty.config]
faults = [{ at = "init", kind = "failed", every = 1, unless = "${mended}" }]
`);
  await open();
  await pluginIs("faulty", "FAILED");
  writeFileSync(mended, "");
  await page.click("[data-plugin=faulty] button:has-text('Reload')");
  await pluginIs("faulty", "INITIALIZED");
});

test("a server that stops is said to be gone, and the page comes back with it", async () => {
  await keepsight.start(SCENE);
  await open();
  await pluginIs("tracker", "RUNNING");
  await page.click("[data-plugin=tracker] button:has-text('Details')");
  await keepsight.stop();
  await page.waitForSelector(".banner >> text=has not answered since");
  assert.ok(await page.isVisible("[data-plugin=tracker]"), "what was seen stays");
  await keepsight.start(SCENE);
  await page.waitForSelector(".banner", { state: "detached" });
  await pluginIs("tracker", "RUNNING");
  await pictureComes("scene");
  const expanded = await page.getAttribute("[data-plugin=tracker] [aria-expanded]", "aria-expanded");
  assert.equal(expanded, "true", "the page has lost its place");
});

test("a source that goes shows since when and why, never its last picture", async () => {
  const gone = join(keepsight.folder, "pictures");
  mkdirSync(gone);
  await keepsight.start(`
[streams.door]
source = "file:${gone}"
plugins = ["stats"]
[plugins.stats]
use = "frame-stats"
`);
  await open();
  const tile = await page.waitForSelector("[data-stream=door]:not([data-state=live])");
  assert.equal(await tile.$("canvas"), null);
  await page.waitForSelector("[data-stream=door] .no-picture >> text=since");
});

// A camera that gives pictures while the file PLUGGED is there.
const CAMERA = `
import { existsSync, writeSync } from "node:fs";
const plugged = process.argv[2];
const picture = Buffer.alloc((64 * 48 * 3) / 2, 128);
writeSync(1, "YUV4MPEG2 W64 H48 F20:1 C420jpeg\\n");
for (let frame = 0; existsSync(plugged); frame += 1) {
  picture[frame % 1000] += 1; // Always another picture: the same ones would be frozen.
  writeSync(1, "FRAME\\n");
  writeSync(1, picture);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
}
writeSync(2, "the lens fell off\\n");
process.exit(1);
`;

test("a camera goes and returns before one's eyes", async () => {
  const [program, plugged] = [join(keepsight.folder, "camera.mjs"), join(keepsight.folder, "plugged")];
  writeFileSync(program, CAMERA);
  writeFileSync(plugged, "");
  await keepsight.start(`
[streams.door]
source = "exec:${process.execPath} ${program} ${plugged}"
plugins = ["stats"]
[plugins.stats]
use = "frame-stats"
`);
  await open();
  await pictureComes("door");
  rmSync(plugged);
  const gone = await page.waitForSelector("[data-stream=door][data-state=reconnecting]");
  assert.equal(await gone.$("canvas"), null, "the last picture is still there");
  await page.waitForSelector("[data-stream=door] .no-picture >> text=since");
  await page.waitForSelector("[data-stream=door] .no-picture >> text=the lens fell off");
  writeFileSync(plugged, "");
  await page.waitForSelector("[data-stream=door][data-state=live]");
  await pictureComes("door");
  await page.waitForSelector("[data-stream=door] >> text=Last trouble");
  assert.deepEqual(complaints, []);
});

test("a server with a key asks for it, and keeps a wrong one out", async () => {
  await keepsight.start(`[server]\nkey = "correct-horse-battery"\n${SCENE}`);
  await open();
  await page.fill("input[type=password]", "wrong-horse-battery");
  await page.click("button:has-text('Sign in')");
  await page.waitForSelector("[role=alert]:not(:empty)");
  await page.fill("input[type=password]", "correct-horse-battery");
  await page.click("button:has-text('Sign in')");
  await pluginIs("tracker", "RUNNING");
  await pictureComes("scene");
  const kept = await page.evaluate(() => document.cookie);
  assert.equal(kept, "", "a script can read the cookie");
});

test("who guesses keys is told to wait", async () => {
  await keepsight.start(`[server]\nkey = "correct-horse-battery"\n${SCENE}`);
  await open();
  const alert = page.locator("[role=alert]");
  for (let guess = 0; ; guess += 1) {
    assert.ok(guess < 100, "one may guess on and on");
    await page.fill("input[type=password]", `guess number ${guess}`);
    const answer = page.waitForResponse((response) => response.url().endsWith("/v1/session"));
    await page.click("button:has-text('Sign in')");
    if ((await answer).status() === 429) break;
  }
  await page.waitForSelector("[role=alert] >> text=try again in");
  assert.match(await alert.textContent(), /in \d+ (s|min)/);
});

/** A page on a server of its own; what it shows is of no matter. */
async function elsewhere() {
  const server = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end("<!doctype html><title>elsewhere</title>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

/** From the page that is open: sends a picture for `track`, and says what comes of it. */
function trackFromThePage(key, picture) {
  return page.evaluate(
    ([address, key, picture, bound]) =>
      new Promise((resolve) => {
        const words = ["keepsight", `keepsight.key.${btoa(key).replaceAll("=", "")}`];
        const socket = new WebSocket(`${address}/v1/stream?plugin=tracker`, words);
        const close = (what) => {
          socket.close();
          resolve(what);
        };
        setTimeout(() => close({ type: "nothing came" }), bound);
        socket.onerror = () => resolve({ type: "refused" });
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.type !== "connected") close(message);
          else {
            const frame = { type: "frame", frame_id: "1", image_data: picture };
            socket.send(JSON.stringify({ ...frame, plugin_id: "tracker", tools: ["track"] }));
          }
        };
      }),
    [keepsight.url.replace("http", "ws"), key, picture, BOUND_MS],
  );
}

test("a page elsewhere that is welcome has its own camera tracked; others have not", async () => {
  const { server, origin } = await elsewhere();
  try {
    const key = "correct-horse-battery";
    await keepsight.start(`[server]
key = "${key}"
allowed_origins = ["${origin}"]
[plugins.tracker]
use = "video-tracker"
`);
    await open();
    await page.fill("input[type=password]", key);
    await page.click("button:has-text('Sign in')");
    await pluginIs("tracker", "INITIALIZED");
    await page.goto(origin);
    const person = new URL("../../plugins/scene/assets/astronaut.jpg", import.meta.url);
    const picture = readFileSync(person).toString("base64");
    const answer = await trackFromThePage(key, picture);
    assert.equal(answer.type, "result", JSON.stringify(answer));
    const { detections } = answer.payload.result.tools.track;
    assert.ok(detections.some((found) => found.class === "person"), JSON.stringify(answer));
    assert.equal((await trackFromThePage("wrong-horse-battery", picture)).type, "refused");

    await keepsight.stop();
    await keepsight.start(`[server]
key = "${key}"
allowed_origins = ["http://wall.example"]
[plugins.tracker]
use = "video-tracker"
`);
    const health = `${keepsight.url}/v1/plugins`;
    const read = page.evaluate((health) => fetch(health).then((answer) => answer.status), health);
    await assert.rejects(read, /Failed to fetch/, "a page that is not welcome reads health");
    assert.equal((await trackFromThePage("no-horse-battery", picture)).type, "refused");
  } finally {
    server.close();
  }
});

test("everything is reached by the keyboard", async () => {
  await keepsight.start(SCENE);
  await open();
  await pluginIs("tracker", "RUNNING");
  const names = new Set();
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press("Tab");
    names.add(await page.evaluate(() => document.activeElement.textContent.trim()));
  }
  for (const name of ["Details", "Reload", "Full screen"]) assert.ok(names.has(name), name);
});

test("a viewer who reads nothing doesn't slow the tracking", async () => {
  await keepsight.start(SCENE);
  await open();
  await pictureComes("scene");
  const slow = connect(keepsight.port, "127.0.0.1");
  slow.pause();
  slow.write("GET /v1/streams/scene/video.mjpeg HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const processed = async () => {
    const stream = await (await fetch(`${keepsight.url}/v1/streams/scene`)).json();
    return stream.plugins[0].processed;
  };
  const before = await processed();
  const shown = () =>
    page.evaluate(() => Number(document.querySelector("[data-stream=scene] canvas").dataset.sequence));
  const shownBefore = await shown();
  const end = Date.now() + BOUND_MS;
  while ((await processed()) < before + 30 || (await shown()) < shownBefore + 30) {
    assert.ok(Date.now() < end, "tracking or the page stands still");
    await page.waitForTimeout(100);
  }
  slow.destroy();
});

test("twenty viewers cost one encoding per frame", async (context_) => {
  await keepsight.start(SCENE);
  await open();
  await pictureComes("scene");
  await context.close();
  const watch = async (viewers, seconds) => {
    const abort = new AbortController();
    let bytes = 0;
    for (let index = 0; index < viewers; index += 1) {
      const answer = await fetch(`${keepsight.url}/v1/streams/scene/video.mjpeg`, {
        signal: abort.signal,
      });
      void (async () => {
        for await (const piece of answer.body) bytes += piece.length;
      })().catch(() => {});
    }
    const [encoded, processor] = [
      await keepsight.metric("keepsight_pictures_encoded_total"),
      await keepsight.processorSeconds(),
    ];
    const begun = Date.now();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const took = (Date.now() - begun) / 1000;
    const rate = ((await keepsight.metric("keepsight_pictures_encoded_total")) - encoded) / took;
    const load = ((await keepsight.processorSeconds()) - processor) / took;
    abort.abort();
    return { rate, load, bytes };
  };
  const one = await watch(1, 5);
  const twenty = await watch(20, 5);
  context_.diagnostic(
    `1 viewer: ${one.rate.toFixed(1)} encodings a second, ${one.load.toFixed(2)} cores; ` +
      `20 viewers: ${twenty.rate.toFixed(1)} encodings a second, ${twenty.load.toFixed(2)} cores`,
  );
  assert.ok(twenty.bytes > 10 * one.bytes * 0.2, "the viewers got nothing");
  // A frame encoded for each viewer would be twenty times as many.
  assert.ok(twenty.rate < 3 * one.rate + 5, `${twenty.rate} against ${one.rate}`);
});

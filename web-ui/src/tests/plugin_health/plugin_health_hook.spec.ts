import { h } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ConnectionBanner } from "../../app/ConnectionBanner";
import { HISTORY_LENGTH, remember, usePluginHealth } from "../../plugins/usePluginHealth";
import { useConnection } from "../../server/useServer";
import { plugin, ScriptedBrowser, settled, show, text } from "../support";

const LIST = "/v1/inspector/plugins";

/** Shows what the hook gives as text. */
function Probe() {
  const { plugins, error } = usePluginHealth();
  const connection = useConnection();
  const states = plugins?.map((one) => `${one.name}=${one.state}`).join(",") ?? "none";
  return h("div", null, [
    h("p", { id: "said" }, `${connection.state} ${states} ${error ?? ""}`),
    h(ConnectionBanner, { connection }),
  ]);
}

let said: () => string;

async function probe(browser: ScriptedBrowser) {
  const page = await show(h(Probe, null), browser);
  said = () => text(page.querySelector("#said"));
  return page;
}

async function pass(ms: number) {
  await act(async () => {
    await vi.advanceTimersByTimeAsync(ms);
  });
  await settled();
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  document.body.replaceChildren();
});

test("a state that changes shows soon after its event, without waiting for the next question", async () => {
  const browser = new ScriptedBrowser();
  let state: "RUNNING" | "FAILED" = "RUNNING";
  browser.answer(LIST, () => ({ body: [plugin({ state })] }));
  await probe(browser);
  await act(() => browser.source.opened());
  await pass(300);
  expect(said()).toBe("live tracker=RUNNING");

  state = "FAILED";
  await act(() => browser.source.send("plugin_state", { plugin: "tracker", state: "FAILED" }));
  await pass(200);
  expect(said()).toBe("live tracker=FAILED");
});

test("many events at once are one question", async () => {
  const browser = new ScriptedBrowser();
  browser.answer(LIST, () => ({ body: [plugin()] }));
  await probe(browser);
  await act(() => browser.source.opened());
  await pass(300);
  const before = browser.asked.length;
  await act(() => {
    for (let index = 0; index < 50; index += 1) browser.source.send("fault", { plugin: "tracker" });
  });
  await pass(200);
  expect(browser.asked.length).toBe(before + 1);
});

test("without events the server is asked now and then", async () => {
  const browser = new ScriptedBrowser(false);
  let state: "RUNNING" | "FAILED" = "RUNNING";
  browser.answer(LIST, () => ({ body: [plugin({ state })] }));
  const page = await probe(browser);
  expect(said()).toBe("polling tracker=RUNNING");
  expect(text(page)).toContain("asking every other second");
  state = "FAILED";
  await pass(2100);
  expect(said()).toBe("polling tracker=FAILED");
});

test("a server that is gone is said to be, what was seen stays, and it comes back by itself", async () => {
  const browser = new ScriptedBrowser();
  browser.answer(LIST, () => ({ body: [plugin()] }));
  const page = await probe(browser);
  await act(() => browser.source.opened());
  await pass(300);

  browser.answer(LIST, () => new Error("connection refused"));
  await act(() => browser.source.broke(false));
  await pass(2100);
  expect(said()).toBe("gone tracker=RUNNING connection refused");
  expect(text(page)).toContain("The server has not answered since");

  browser.answer(LIST, () => ({ body: [plugin({ state: "LOADED" })] }));
  await pass(2100);
  await act(() => browser.source.opened());
  await pass(300);
  expect(said()).toBe("live tracker=LOADED");
  expect(text(page)).not.toContain("has not answered");
});

test("events that were refused are asked for again", async () => {
  const browser = new ScriptedBrowser();
  browser.answer(LIST, () => ({ body: [plugin()] }));
  await probe(browser);
  await act(() => browser.source.opened());
  await act(() => browser.source.broke(true));
  expect(browser.sources.length).toBe(1);
  await pass(2100);
  expect(browser.sources.length).toBe(2);
});

test("a server that wants a key is not asked for events", async () => {
  const browser = new ScriptedBrowser();
  browser.answer(LIST, () => ({ status: 401, body: { detail: "a valid key is needed" } }));
  await probe(browser);
  expect(said()).toBe("locked none a valid key is needed");
  await pass(10_000);
  expect(browser.sources.length).toBe(1);
});

test("a server that says when to ask again is left alone until then", async () => {
  const browser = new ScriptedBrowser(false);
  browser.answer(LIST, () => ({
    status: 503,
    body: { detail: "busy" },
    headers: { "retry-after": "30" },
  }));
  await probe(browser);
  await pass(29_000);
  expect(browser.asked.length).toBe(1);
  await pass(2000);
  expect(browser.asked.length).toBe(2);
});

test("histories are bounded, and forgotten with their plugin", () => {
  const histories = new Map<string, number[]>();
  for (let index = 0; index < HISTORY_LENGTH + 5; index += 1) {
    remember(histories, [plugin({ avg_execution_time_ms: index })]);
  }
  expect(histories.get("tracker")?.length).toBe(HISTORY_LENGTH);
  expect(histories.get("tracker")?.[0]).toBe(5);
  remember(histories, [plugin({ avg_execution_time_ms: null })]);
  expect(histories.get("tracker")?.at(-1)).toBe(HISTORY_LENGTH + 4);
  remember(histories, []);
  expect(histories.size).toBe(0);
});

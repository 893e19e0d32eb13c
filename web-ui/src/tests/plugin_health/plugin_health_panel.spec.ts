import { h } from "preact";
import { act } from "preact/test-utils";
import { afterEach, expect, test } from "vitest";

import { PluginHealthPanel } from "../../plugins/PluginHealthPanel";
import { usePluginHealth } from "../../plugins/usePluginHealth";
import type { PluginReport } from "../../server/wire";
import { plugin, ScriptedBrowser, settled, show, text } from "../support";

const LIST = "/v1/inspector/plugins";

function Panel() {
  return h(PluginHealthPanel, { health: usePluginHealth() });
}

async function panelOf(plugins: PluginReport[], browser = new ScriptedBrowser()) {
  browser.answer(LIST, () => ({ body: plugins }));
  for (const one of plugins) {
    browser.answer(`${LIST}/${one.name}`, () => ({ body: one }));
  }
  const page = await show(h(Panel, null), browser);
  const card = (name: string) => page.querySelector(`[data-plugin="${name}"]`);
  return { page, card, browser };
}

function button(within: Element | null, name: string): HTMLButtonElement {
  const found = [...(within?.querySelectorAll("button") ?? [])].find((one) => text(one) === name);
  if (!found) throw new Error(`no button "${name}" in: ${text(within)}`);
  return found;
}

afterEach(() => document.body.replaceChildren());

test("a healthy plugin shows its state and its numbers with their units", async () => {
  const { page, card } = await panelOf([plugin()]);
  expect(text(page.querySelector(".panel-head"))).toBe("Plugins1 plugin, all well");
  const facts = [...(card("tracker")?.querySelectorAll(".fact") ?? [])].map(text);
  expect(facts).toEqual([
    "Up1 h 2 min",
    "Runs1,234",
    "Errors0",
    "Last run31.4 ms",
    "Mean of 1030.2 ms",
    "p9541.5 ms",
    "Memory39.0 MiB",
    "Restarts0",
  ]);
  expect(text(card("tracker")?.querySelector(".badge") ?? null)).toBe("RUNNING");
});

test("trouble comes first and says why and what to do", async () => {
  const { page, card } = await panelOf([
    plugin({ name: "a-well" }),
    plugin({
      name: "b-degraded",
      degraded: [{ code: "gpu.cpu_fallback", reason: "no adapter", hint: "install a driver" }],
    }),
    plugin({ name: "c-unavailable", state: "UNAVAILABLE", reason: "no model", hint: "fetch it" }),
    plugin({
      name: "d-failed",
      state: "FAILED",
      code: "supervisor.quarantined",
      reason: "panicked too often",
      hint: "look at its faults",
      quarantined: true,
      next_attempt_in_seconds: 61.5,
    }),
    plugin({ name: "e-waits", waiting_for: ["door"] }),
  ]);
  const names = [...page.querySelectorAll("[data-plugin]")].map((card) =>
    card.getAttribute("data-plugin"),
  );
  expect(names).toEqual(["d-failed", "c-unavailable", "b-degraded", "e-waits", "a-well"]);
  expect(text(page.querySelector(".panel-head"))).toContain("5 plugins, 4 to look at");

  const failed = text(card("d-failed"));
  for (const part of ["FAILED", "QUARANTINED", "panicked too often", "look at its faults", "in 1 min 1 s"]) {
    expect(failed).toContain(part);
  }
  expect(text(card("b-degraded"))).toContain("no adapter");
  expect(text(card("b-degraded"))).toContain("install a driver");
  expect(text(card("c-unavailable"))).toContain("fetch it");
  expect(text(card("e-waits"))).toContain("Waits for door.");
});

test("a crash of the process before is named", async () => {
  const crash = { phase: "run", stream: "door", generation: 1, in_a_row: 2 };
  const { card } = await panelOf([plugin({ last_crash: crash })]);
  expect(text(card("tracker"))).toContain("while this plugin was at run on door, 2 times in a row.");
});

test("details show requirements, faults with their place, and what is not contained", async () => {
  const { card } = await panelOf([
    plugin({
      requirements: [
        { code: "dependency.model", subject: "m.onnx", reason: "missing", hint: "get it", met: false },
      ],
      faults: [
        {
          at: "2026-01-02T03:00:00Z",
          code: "run.panicked",
          reason: "index out of bounds",
          hint: "",
          stream: "door",
          location: "src/lib.rs:7:9",
          backtrace: "0: here",
          has_backtrace: true,
        },
      ],
    }),
  ]);
  const more = button(card("tracker"), "Details");
  expect(more.getAttribute("aria-expanded")).toBe("false");
  await act(() => more.click());
  await settled();
  expect(more.getAttribute("aria-expanded")).toBe("true");
  const details = text(card("tracker")?.querySelector(".details") ?? null);
  for (const part of [
    "not met m.onnx: missing get it",
    "index out of bounds (on door) run.panicked",
    "src/lib.rs:7:9",
    "0: here",
    "It does not contain: stack overflow, abort.",
    "door: running",
  ]) {
    expect(details).toContain(part);
  }
});

test("a reload that is refused says why", async () => {
  const { card, browser } = await panelOf([plugin()]);
  browser.answer("POST /v1/plugins/tracker/reload", () => ({
    status: 409,
    body: { detail: "another reload runs" },
  }));
  await act(() => button(card("tracker"), "Reload").click());
  await settled();
  expect(text(card("tracker")?.querySelector("[role=status]") ?? null)).toBe("another reload runs");

  browser.answer("POST /v1/plugins/tracker/reload", () => ({ body: { status: "reloaded" } }));
  await act(() => button(card("tracker"), "Reload").click());
  await settled();
  expect(text(card("tracker")?.querySelector("[role=status]") ?? null)).toBe("reloaded");
});

test("nothing configured, nothing known and nothing answered are told apart", async () => {
  const empty = await panelOf([]);
  expect(text(empty.page)).toContain("No plugin is configured.");

  const broken = new ScriptedBrowser();
  broken.answer(LIST, () => ({ status: 503, body: { detail: "busy" } }));
  const page = await show(h(Panel, null), broken);
  expect(text(page)).toContain("The plugins' health is not known: busy");
});

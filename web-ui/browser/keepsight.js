// The real binary, started for a test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Path of the binary, built with the feature `fault-injector`. */
const BINARY = process.env.KEEPSIGHT ?? new URL("../../target/debug/keepsight", import.meta.url).pathname;

/** Nothing takes that long unless it is broken. */
export const BOUND_MS = 60_000;

export class Keepsight {
  /** A folder of the test's own, for state and configuration. */
  folder = mkdtempSync(join(tmpdir(), "keepsight-page-"));
  #process = null;
  port = 0;

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts with that configuration; on the same port as before where it ran before. */
  async start(configuration, environment = {}) {
    const file = join(this.folder, "keepsight.toml");
    const state = join(this.folder, "state");
    writeFileSync(file, `version = 1\n[runtime]\nstate_dir = "${state}"\n${configuration}`);
    const listen = `127.0.0.1:${this.port}`;
    const arguments_ = ["run", "--config", file, "--listen", listen];
    this.#process = spawn(BINARY, arguments_, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...environment },
    });
    let log = "";
    this.port = await new Promise((resolve, reject) => {
      this.#process.stderr.on("data", (data) => {
        log += data;
        const found = /at http:\/\/127\.0\.0\.1:(\d+)\//.exec(log);
        if (found) resolve(Number(found[1]));
      });
      this.#process.once("error", reject);
      this.#process.once("exit", (code) => reject(new Error(`ended with ${code}: ${log}`)));
    });
  }

  /** Asks it to end, and waits until it has. */
  async stop() {
    if (!this.#process || this.#process.exitCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    await ended;
  }

  /** Runs a tool, whatever comes of it. */
  async tool(plugin, tool, args) {
    const answer = await fetch(`${this.url}/v1/plugins/${plugin}/tools/${tool}/run`, {
      method: "POST",
      body: JSON.stringify({ args }),
    });
    return answer.status;
  }

  /** A number of /metrics; 0 where it is not there. */
  async metric(name) {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split("\n").find((line) => line.startsWith(`${name} `));
    return line ? Number(line.split(" ")[1]) : 0;
  }

  /** The processor time that it has used, in seconds. */
  async processorSeconds() {
    const { readFileSync } = await import("node:fs");
    const fields = readFileSync(`/proc/${this.#process.pid}/stat`, "utf8").split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }
}

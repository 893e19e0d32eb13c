import type { PluginReport } from "../server/wire";

/** What is the matter with a plugin and what to do about it; nothing where all is well. */
export function Complaints({ plugin }: { plugin: PluginReport }) {
  const { last_crash: crash } = plugin;
  return (
    <>
      {plugin.reason !== null && (
        <Complaint code={plugin.code} reason={plugin.reason} hint={plugin.hint} />
      )}
      {plugin.degraded.map((degraded) => (
        <Complaint key={degraded.code} {...degraded} />
      ))}
      {plugin.waiting_for.length > 0 && (
        <p class="complaint">Waits for {plugin.waiting_for.join(", ")}.</p>
      )}
      {crash && (
        <p class="complaint">
          The process before this one ended while this plugin was at {crash.phase}
          {crash.stream && ` on ${crash.stream}`}
          {crash.in_a_row > 1 && `, ${crash.in_a_row} times in a row`}.
        </p>
      )}
    </>
  );
}

function Complaint(props: { code: string | null; reason: string; hint: string | null }) {
  return (
    <div class="complaint">
      <p>{props.reason}</p>
      {props.hint && <p class="hint">{props.hint}</p>}
      {props.code && <code>{props.code}</code>}
    </div>
  );
}

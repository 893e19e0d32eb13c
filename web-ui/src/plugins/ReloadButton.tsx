import { useState } from "preact/hooks";

import { useServer } from "../server/useServer";

/** Builds a plugin anew, and says how that went. */
export function ReloadButton(props: { plugin: string; onReloaded: () => void }) {
  const server = useServer();
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState("");

  const reload = async () => {
    setBusy(true);
    setOutcome("");
    try {
      await server.post(`/v1/plugins/${encodeURIComponent(props.plugin)}/reload`);
      setOutcome("reloaded");
    } catch (failure) {
      setOutcome((failure as Error).message);
    }
    setBusy(false);
    props.onReloaded();
  };

  return (
    <>
      <button type="button" disabled={busy} onClick={() => void reload()}>
        {busy ? "Reloading …" : "Reload"}
      </button>
      <span role="status" class="quiet">
        {outcome}
      </span>
    </>
  );
}

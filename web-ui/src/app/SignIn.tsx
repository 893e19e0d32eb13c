import { useState } from "preact/hooks";

import { span } from "../format/units";
import { Refusal } from "../server/server";
import { useServer } from "../server/useServer";

/** Asks for the key, which is exchanged for a cookie and not kept. */
export function SignIn() {
  const server = useServer();
  const [key, setKey] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError("");
    try {
      await server.signIn(key);
    } catch (failure) {
      const wait = failure instanceof Refusal ? failure.retryAfterSeconds : null;
      const again = wait === null ? "" : `; try again in ${span(wait)}`;
      setError((failure as Error).message + again);
      setBusy(false);
    }
  };

  return (
    <main>
      <form class="panel sign-in" onSubmit={(event) => void submit(event)}>
        <h2>This server wants its key</h2>
        <p class="quiet">
          It is <code>server.key</code> in keepsight.toml.
        </p>
        <label>
          Key
          <input
            type="password"
            autocomplete="current-password"
            required
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        <button type="submit" disabled={busy}>
          Sign in
        </button>
        <p role="alert" class="mood-bad">
          {error}
        </p>
      </form>
    </main>
  );
}

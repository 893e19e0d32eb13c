import { EventsPanel } from "../events/EventsPanel";
import { PluginHealthPanel } from "../plugins/PluginHealthPanel";
import { usePluginHealth } from "../plugins/usePluginHealth";
import { useConnection } from "../server/useServer";
import { StreamsPanel } from "../streams/StreamsPanel";
import { ConnectionBanner } from "./ConnectionBanner";
import { HostSummary } from "./HostSummary";
import { SignIn } from "./SignIn";

/** The whole page. */
export function App() {
  const connection = useConnection();
  return (
    <>
      <header class="page-head">
        <h1>Keepsight</h1>
        {connection.state !== "locked" && <HostSummary />}
      </header>
      <ConnectionBanner connection={connection} />
      {connection.state === "locked" ? (
        <SignIn />
      ) : (
        <main>
          <StreamsPanel />
          <Plugins />
          <EventsPanel />
        </main>
      )}
    </>
  );
}

function Plugins() {
  return <PluginHealthPanel health={usePluginHealth()} />;
}

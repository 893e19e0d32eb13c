import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

import { type Connection, Server } from "./server";

/** The server of the page; `main.tsx` gives the real one. */
export const ServerContext = createContext<Server>(new Server());

export function useServer(): Server {
  return useContext(ServerContext);
}

/** How the page stands with its server. */
export function useConnection(): Connection {
  const server = useServer();
  const [connection, setConnection] = useState(server.connection);
  useEffect(() => {
    setConnection(server.connection);
    return server.watch(() => setConnection(server.connection));
  }, [server]);
  return connection;
}

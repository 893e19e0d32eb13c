import { render } from "preact";

import { App } from "./app/App";
import { Server } from "./server/server";
import { ServerContext } from "./server/useServer";
import "./page.css";

const server = new Server();
server.open();
const root = document.getElementById("page");
if (root) {
  render(
    <ServerContext.Provider value={server}>
      <App />
    </ServerContext.Provider>,
    root,
  );
}

// GraphQL over one WebSocket (graphql-transport-ws): any number of queries cost one request of the rate limits.

const PROTOCOL = "graphql-transport-ws";
const LONGEST_PAUSE_MS = 15000;

export class Connection {
  // `told(state)` is called with "connecting", "open", "lost" or "refused"; `opened()` whenever it is open anew.
  constructor(token, { told, opened }) {
    this.token = token;
    this.told = told;
    this.opened = opened;
    this.waiting = new Map();
    this.number = 0;
    this.failures = 0;
    this.ended = false;
    this.open();
  }

  open() {
    this.told("connecting");
    this.everOpen = false;
    const url = new URL("api/graphql", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("token", this.token);
    this.socket = new WebSocket(url, PROTOCOL);
    this.socket.onopen = () => this.send({ type: "connection_init" });
    this.socket.onmessage = (message) => this.take(JSON.parse(message.data));
    this.socket.onclose = (event) => this.lost(event.code);
  }

  get live() {
    return this.socket.readyState === WebSocket.OPEN && this.everOpen;
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  take(message) {
    const asked = this.waiting.get(message.id);
    if (message.type === "connection_ack") {
      this.failures = 0;
      this.everOpen = true;
      this.told("open");
      this.opened();
    } else if (message.type === "ping") {
      this.send({ type: "pong" });
    } else if (message.type === "next" && asked) {
      asked.next(message.payload);
    } else if ((message.type === "complete" || message.type === "error") && asked) {
      this.waiting.delete(message.id);
      asked.end(message.payload || []);
    }
  }

  async lost(code) {
    for (const asked of this.waiting.values()) asked.end([{ message: "the connection was lost" }]);
    this.waiting.clear();
    if (this.ended) return;
    if (code === 4401) return this.told("refused");
    this.told("lost");
    // A browser does not say why a handshake was refused; an ordinary request does.
    if (!this.everOpen && (await refused(this.token))) return this.told("refused");
    this.failures += 1;
    const pause = Math.min(LONGEST_PAUSE_MS, 500 * 2 ** this.failures) * (0.75 + Math.random() / 2);
    setTimeout(() => this.ended || this.open(), pause);
  }

  close() {
    this.ended = true;
    this.socket.close(1000);
  }

  // What `query` answers: {data, errors}.
  ask(query, variables) {
    return new Promise((resolve, reject) => {
      let answer = null;
      this.start(query, variables, {
        next: (payload) => (answer = payload),
        end: (errors) => (answer ? resolve(answer) : reject(new Error(errors[0]?.message || "no answer"))),
      });
    });
  }

  // Calls `next(payload)` for each answer until the connection is lost.
  follow(query, variables, next) {
    this.start(query, variables, { next, end: () => {} });
  }

  start(query, variables, asked) {
    const id = String(++this.number);
    this.waiting.set(id, asked);
    this.send({ id, type: "subscribe", payload: { query, variables } });
  }
}

async function refused(token) {
  try {
    return (await fetch("api/cluster", { headers: { Authorization: `Bearer ${token}` } })).status === 401;
  } catch {
    return false;
  }
}

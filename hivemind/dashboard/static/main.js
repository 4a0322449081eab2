// Logs in, asks for everything in one query, and asks again when an event says that something has changed.

import { Connection } from "./connection.js";
import { Table, bar, bytes, element, time, word } from "./tables.js";

const LIMIT = 500;
const EVENTS = 100;
const SETTLE_MS = 500;
const ANEW_MS = 10000; // What no event tells of, such as a node's load.
const KEY = "hivemind.token";

const QUERY = `query {
  cluster { id leader nodes ready_nodes version node_id }
  nodes(limit: ${LIMIT}) {
    id status message role leader address version engine
    resources { cpu_total cpu_available memory_total memory_available disk_total disk_available }
  }
  apps(limit: ${LIMIT}) {
    name image replicas running_replicas status service_name ports { host_port container_port protocol }
  }
  containers(limit: ${LIMIT}) { id name app_name image status message node_id restart_count health { status } }
  services(limit: ${LIMIT}) {
    name domain load_balancing_strategy endpoints { container_id ip_address port health }
  }
  deployments(limit: 50) {
    id app_name image strategy status created_at
    progress { current_step total_steps current_replicas target_replicas message }
  }
  alerts(limit: 100) { id severity resource message status created_at acknowledged_by }
}`;
const SUBSCRIPTION = `subscription ($since: String) { events(since: $since) { id type data } }`;

const used = (total, available) => (total ? `${Math.round((100 * (total - available)) / total)} %` : "");
const port = (p) => `${p.host_port ?? "–"}→${p.container_port}/${p.protocol}`;

const tables = {
  alerts: new Table("alerts", "Alerts", [
    ["Severity", (a) => word(a.severity)],
    ["What", (a) => a.resource],
    ["Message", (a) => a.message],
    ["Since", (a) => time(a.created_at)],
    ["Seen by", (a) => a.acknowledged_by ?? ""],
  ], { limit: 100, empty: "No alerts." }),
  nodes: new Table("nodes", "Nodes", [
    ["Node", (n) => n.id],
    ["Status", (n) => [word(n.status), n.message ? ` ${n.message}` : ""]],
    ["Role", (n) => (n.leader ? "leader" : n.role)],
    ["Address", (n) => n.address],
    ["Engine", (n) => n.engine],
    ["Containers", (n) => String(n.count), "number"],
    ["CPU", (n) => `${used(n.resources.cpu_total, n.resources.cpu_available)} of ${n.resources.cpu_total}`, "number"],
    ["Memory", (n) => `${used(n.resources.memory_total, n.resources.memory_available)} of ${bytes(n.resources.memory_total)}`, "number"],
    ["Disk", (n) => `${used(n.resources.disk_total, n.resources.disk_available)} of ${bytes(n.resources.disk_total)}`, "number"],
  ], { limit: LIMIT }),
  apps: new Table("apps", "Apps", [
    ["App", (a) => a.name],
    ["Status", (a) => word(a.status)],
    ["Replicas", (a) => bar(a.running_replicas, a.replicas, `${a.name}: replicas that run`)],
    ["Image", (a) => a.image],
    ["Service", (a) => a.service_name],
    ["Ports", (a) => a.ports.map(port).join(", ")],
    ["Why not all run", (a) => a.why.join("; ")],
  ], { limit: LIMIT, empty: "No apps yet." }),
  deployments: new Table("deployments", "Deployments", [
    ["App", (d) => d.app_name],
    ["Status", (d) => word(d.status)],
    ["Strategy", (d) => d.strategy.type],
    ["Step", (d) => `${d.progress.current_step} of ${d.progress.total_steps}`, "number"],
    ["Replicas", (d) => bar(d.progress.current_replicas, d.progress.target_replicas, `${d.app_name}: new replicas`)],
    ["Message", (d) => d.progress.message],
    ["Image", (d) => d.image],
    ["Since", (d) => time(d.created_at)],
  ], { limit: 50, empty: "No deployments." }),
  services: new Table("services", "Services", [
    ["Service", (s) => s.name],
    ["Balancing", (s) => s.load_balancing_strategy],
    ["Endpoints", (s) => String(s.endpoints.length), "number"],
    ["Where", (s) => s.endpoints.slice(0, 8).map((e) => `${e.ip_address ?? "?"}:${e.port ?? "–"} ${e.health}`).join(", ")],
  ], { limit: LIMIT, empty: "No services." }),
  containers: new Table("containers", "Containers", [
    ["Container", (c) => c.name],
    ["App", (c) => c.app_name],
    ["Status", (c) => word(c.status)],
    ["Health", (c) => word(c.health.status)],
    ["Node", (c) => c.node_id ?? "not placed"],
    ["Restarts", (c) => String(c.restart_count), "number"],
    ["Message", (c) => c.message],
  ], { limit: LIMIT, empty: "No containers." }),
  events: new Table("events", "Events", [
    ["When", (e) => time(e.data.timestamp)],
    ["What", (e) => e.type.replaceAll("_", " ")],
    ["About", (e) => [e.data.name ?? e.data.app_name ?? e.data.id ?? "", e.data.message ?? e.data.status ?? ""].filter(Boolean).join(": ")],
  ], { empty: "Nothing has happened since this page was opened." }),
};

const at = (id) => document.getElementById(id);
let connection = null;
let events = [];
let lastId = null;
let asking = false;
let news = false;

for (const [id, table] of Object.entries(tables)) {
  at("sections").append(element("a", { href: `#${id}` }, table.title));
}

function told(state) {
  const words = { connecting: "Connecting…", open: "Live", lost: "Connection lost; trying again…", refused: "" };
  at("connection").textContent = words[state];
  if (state === "refused") logOut("Please log in again.");
}

function opened() {
  connection.follow(SUBSCRIPTION, { since: lastId }, ({ data }) => data && happened(data.events));
  changed();
}

function happened(event) {
  lastId = event.id;
  events = [event, ...events].slice(0, EVENTS);
  changed();
}

// Asks soon, and once for everything that happens meanwhile.
function changed() {
  news = true;
  if (asking || !connection?.live) return;
  asking = true;
  setTimeout(async () => {
    news = false;
    try {
      const { data, errors } = await connection.ask(QUERY);
      if (data) show(data);
      if (errors) at("connection").textContent = errors[0].message;
    } catch (error) {
      at("connection").textContent = error.message;
    }
    asking = false;
    if (news) changed();
  }, SETTLE_MS);
}

function show(data) {
  const containers = data.containers;
  for (const node of data.nodes) node.count = containers.filter((c) => c.node_id === node.id).length;
  for (const app of data.apps) {
    const waiting = containers.filter((c) => c.app_name === app.name && c.status !== "running" && c.message);
    app.why = [...new Set(waiting.map((c) => c.message))].slice(0, 3);
  }
  for (const [id, table] of Object.entries(tables)) table.show(id === "events" ? events : data[id]);
  const cluster = data.cluster;
  at("summary").textContent = cluster
    ? `${cluster.ready_nodes} of ${cluster.nodes} nodes ready, leader ${cluster.leader ?? "none"}, seen from ${cluster.node_id}`
    : "";
}

function logIn(token) {
  sessionStorage.setItem(KEY, token);
  at("login").hidden = true;
  at("sections").hidden = at("logout").hidden = false;
  at("tables").replaceChildren(...Object.values(tables).map((table) => table.section));
  connection = new Connection(token, { told, opened });
}

function logOut(why) {
  sessionStorage.removeItem(KEY);
  connection?.close();
  connection = null;
  [events, lastId] = [[], null];
  at("tables").replaceChildren();
  at("summary").textContent = at("connection").textContent = "";
  at("sections").hidden = at("logout").hidden = true;
  at("login").hidden = false;
  at("refusal").textContent = why;
  at("login").elements.username.focus();
}

at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { username, password } = event.target.elements;
  at("refusal").textContent = "";
  try {
    const body = JSON.stringify({ username: username.value, password: password.value });
    const headers = { "Content-Type": "application/json" };
    const answer = await (await fetch("api/auth/login", { method: "POST", headers, body })).json();
    if (!answer.success) throw new Error(answer.error.message);
    event.target.reset();
    logIn(answer.data.token);
  } catch (error) {
    at("refusal").textContent = error.message;
  }
});

at("logout").addEventListener("click", () => {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` };
  fetch("api/auth/logout", { method: "POST", headers }).catch(() => {});
  logOut("");
});

setInterval(() => document.hidden || changed(), ANEW_MS);
document.addEventListener("visibilitychange", () => document.hidden || changed());

const kept = sessionStorage.getItem(KEY);
if (kept) logIn(kept);
else logOut("");

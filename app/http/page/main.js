// Starts the page: the tabs, the models, the API key, and the state of the service.

import { find, several } from "./elements.js";
import { connection, listChoices, useKey } from "./service.js";
import { startSentiment } from "./sentiment.js";

const AGAIN_MS = 3000;

const show = { sentiment: startSentiment() }; // each takes the models
const others = {
  letters: async () => (await import("./letters.js")).startLetters(),
  files: async () => (await import("./files.js")).startFiles(),
};
let choices = null;

function setState(state, words) {
  find("status").dataset.state = state;
  if (find("status").textContent !== words) find("status").textContent = words;
}

async function load() {
  try {
    choices = await listChoices();
  } catch (error) {
    if (error.kind !== "key") setTimeout(load, AGAIN_MS);
    if (!error.kind) throw error;
    return;
  }
  const models = new Set(choices.map((choice) => choice.name)).size;
  find("status").title = choices.map((choice) => choice.title).join("\n");
  setState("ready", models ? `${several(models, "model")} ready` : "no model is ready");
  for (const take of Object.values(show)) take(choices);
}

connection.addEventListener("failure", ({ detail: { kind, message } }) => {
  const words = { offline: "offline", busy: "overloaded", quota: "quota used up", key: "key needed" }[kind];
  if (!words) return;
  setState(kind, words);
  if (kind === "key") {
    find("key-form").hidden = false;
    find("key").value = "";
  }
  find("notice").hidden = false;
  find("notice").textContent = message;
});

connection.addEventListener("answer", () => {
  find("notice").hidden = true;
  find("key-form").hidden = true;
  if (choices) setState("ready", `${several(new Set(choices.map((choice) => choice.name)).size, "model")} ready`);
});

find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(find("key").value.trim());
  if (!choices) load();
});

const tabs = [...document.querySelectorAll("[role=tab]")];

async function open(name, { focuses = false } = {}) {
  for (const tab of tabs) {
    const isOpen = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", String(isOpen));
    tab.tabIndex = isOpen ? 0 : -1;
    find(tab.getAttribute("aria-controls")).hidden = !isOpen;
    if (isOpen && focuses) tab.focus();
  }
  const start = others[name];
  if (!start) return;
  delete others[name]; // it is started once
  show[name] = await start();
  if (choices) show[name](choices);
}

function openNamed() {
  const name = location.hash.slice(1);
  if (tabs.some((tab) => tab.getAttribute("aria-controls") === name)) open(name);
}

for (const [place, tab] of tabs.entries()) {
  const choose = (other, focuses) => {
    const name = other.getAttribute("aria-controls");
    history.replaceState(null, "", `#${name}`);
    open(name, { focuses });
  };
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -place, End: tabs.length - 1 - place };
    if (key in steps) choose(tabs[(place + steps[key] + tabs.length) % tabs.length], true);
  });
}
addEventListener("hashchange", openNamed);
addEventListener("online", () => choices ?? load());
openNamed();
load();

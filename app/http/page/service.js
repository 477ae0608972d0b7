// Requests to the service, and what goes wrong in words.

export const limits = {
  batch: Number(document.body.dataset.maxBatch),
  characters: Number(document.body.dataset.maxTextCharacters),
  bytes: Number(document.body.dataset.maxBodyBytes),
};

const PATIENCE_MS = 60_000; // longer than any deadline that people set for a page

/** Has the events "answer", and "failure" with the failure as its detail. */
export const connection = new EventTarget();

let key = ""; // in memory only
let waiting = []; // for a key

/** Something went wrong. `kind` is "offline", "key", "busy", "quota", "late", "large" or "other". */
export class Failure extends Error {
  constructor(kind, message, seconds = 0) {
    super(message);
    this.kind = kind;
    this.seconds = seconds; // after which to try again
  }
}

/** Use an API key from now on. */
export function useKey(value) {
  key = value;
  for (const resume of waiting) resume();
  waiting = [];
}

/** Return when there is a new key. */
export function waitForKey() {
  return new Promise((resume) => waiting.push(resume));
}

/** Return the JSON answer of a path, and the milliseconds that it took; with a body, the request is a POST. */
export async function ask(path, { body, signal } = {}) {
  try {
    const answer = await send(path, body, signal);
    connection.dispatchEvent(new Event("answer"));
    return answer;
  } catch (error) {
    if (error instanceof Failure) connection.dispatchEvent(new CustomEvent("failure", { detail: error }));
    throw error;
  }
}

async function send(path, body, signal) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key) headers.authorization = `Bearer ${key}`;
  const signals = [AbortSignal.timeout(PATIENCE_MS), ...(signal ? [signal] : [])];
  const started = performance.now();
  let response;
  let content;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      body: typeof body === "string" || body === undefined ? body : JSON.stringify(body),
      headers,
      signal: AbortSignal.any(signals),
    });
    content = await response.json();
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof SyntaxError)) {
      throw new Failure("offline", "The service does not answer. It may be stopped, or the network may be down.", 3);
    }
    content = {}; // a proxy answers with HTML
  }
  const time = performance.now() - started;
  signal?.throwIfAborted(); // an older answer is dropped, even if it has arrived
  if (!response.ok) throw describe(response, content);
  return { value: content, milliseconds: time };
}

/** Return whether a request was given up, because a newer one replaced it. */
export function isAbort(error) {
  return error?.name === "AbortError";
}

function describe(response, problem) {
  const seconds = Number(response.headers.get("retry-after")) || 0;
  const detail = sentence(problem.errors?.[0]?.msg ?? problem.detail ?? `the service answered ${response.status}`);
  const again = seconds ? ` Try again in ${duration(seconds)}.` : "";
  switch (response.status) {
    case 401:
      return new Failure("key", key ? "The service does not know this API key." : "The service needs an API key.");
    case 403:
      return new Failure("key", "This API key may not use the models.");
    case 413:
      return new Failure("large", "The text is too long for the service.");
    case 429:
      return new Failure("quota", `The quota of this key is used up.${again}`, seconds);
    case 503:
    case 502:
      return new Failure("busy", `The service is overloaded or not ready.${again}`, seconds || 2);
    case 504:
      return new Failure("late", "The answer took too long. The service may be overloaded.");
    default:
      return new Failure("other", detail);
  }
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

/** Return seconds in words. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

const descriptions = new Map();

/** Return the manifest of a model. */
export async function describeModel(choice) {
  const path = choice.version
    ? `models/${encodeURIComponent(choice.name)}/versions/${choice.version}`
    : `models/${encodeURIComponent(choice.name)}`;
  if (!descriptions.has(path)) descriptions.set(path, (await ask(path)).value);
  return descriptions.get(path);
}

/** Return the models of a task that can be chosen: of each the version that answers, then the other loaded ones. */
export async function listChoices() {
  const { models } = (await ask("models")).value;
  const ready = models.filter((model) => model.status === "ready");
  ready.sort((one, other) => Number(other.default) - Number(one.default));
  const choices = await Promise.all(
    ready.map(async (model) => {
      const { versions } = (await ask(`models/${encodeURIComponent(model.name)}/versions`)).value;
      const loaded = versions.filter((one) => one.status === "ready" && !one.default);
      const about = { name: model.name, task: model.task, alphabet: model.alphabet };
      return [
        { ...about, id: model.name, title: `${model.name}, version ${model.version}` },
        ...loaded.map(({ version, labels }) => ({
          ...about,
          id: `${model.name}/${version}`,
          version,
          title: `${model.name}, version ${version}${labels.length ? ` (${labels.join(", ")})` : ""}`,
        })),
      ];
    }),
  );
  descriptions.clear();
  return choices.flat();
}

/** Return the fields of a request that choose a model. */
export function selectModel(choice) {
  return choice.version ? { model: choice.name, version: choice.version } : { model: choice.name };
}

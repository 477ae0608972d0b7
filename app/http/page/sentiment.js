// The sentiment of a text while it is typed, and what each word does to it.

import { capital, count, debounce, fill, find, make, milliseconds, percent, several } from "./elements.js";
import { Failure, ask, describeModel, isAbort, limits, selectModel, waitForKey } from "./service.js";

const TYPING_MS = 150;
const EXPLAIN_MS = 250; // after the verdict, so that shading does not slow it down
const SPEAK_MS = 900; // so that a screen reader does not speak at every letter
const EXPLAIN_TEXTS = 256; // which the model judges for one explanation: enough to shade words
const LEAST_SCALE = 0.5; // of the logit: weaker contributions than this are never shaded strongly
const NAMED_WORDS = 3;

const EXAMPLES = [
  ["Mixed", "The first half is brilliant, funny and moving. Then it falls apart, and the ending is a mess."],
  ["Praise", "A tender, wonderful film. I laughed, I cried, and I did not want it to end."],
  ["Complaint", "Two hours I will never get back. The plot is lazy and the acting is worse."],
  ["Not so bad", "Not bad at all! I expected to be bored, but I was not bored for a second."],
  ["Stars", "Saw it twice. 9/10, would watch again :)"],
];

/** One answer of one model, kept up to date. */
class Card {
  constructor(choice) {
    this.choice = choice;
    this.element = find("answer").content.firstElementChild.cloneNode(true);
    this.part = (selector) => this.element.querySelector(selector);
    this.part(".origin").textContent = choice.title;
    this.stop = new AbortController();
  }

  /** Judge a text; an older request is given up. Returns what a screen reader should say. */
  async judge(text, explains) {
    this.stop.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.element.classList.add("stale");
    this.element.setAttribute("aria-busy", "true");
    try {
      const { said, labels } = await this.#answer(text, signal);
      const box = this.part(".explanation");
      if (explains && text.trim()) await this.#explain(box, text, labels, signal);
      else box.hidden = true;
      return said;
    } catch (error) {
      if (!isAbort(error)) throw error;
      return undefined;
    }
  }

  /** Show the verdict. While there is no key, or no service, or too much to do, it waits. */
  async #answer(text, signal) {
    for (;;) {
      try {
        const { labels } = await describeModel(this.choice);
        const { value, milliseconds: time } = await ask("sentiment", { body: { text, ...selectModel(this.choice) }, signal });
        this.#show(value, labels, time);
        return { said: describeAnswer(value, labels), labels };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        this.#showProblem(error.message);
        if (!(await this.#mayRepeat(error, signal))) return { said: error.message, labels: null };
      }
    }
  }

  async #mayRepeat(error, signal) {
    if (error.kind === "key") await Promise.race([waitForKey(), aborted(signal)]);
    else if (error.kind === "busy" || error.kind === "offline") await pause(1000 * error.seconds, signal);
    else return false;
    signal.throwIfAborted();
    return true;
  }

  #show(answer, labels, time) {
    this.part(".problem").hidden = true;
    this.part(".verdict").hidden = false;
    const { verdict, sure } = judge(answer, labels);
    this.part(".verdict strong").textContent = verdict;
    this.part(".verdict strong").dataset.side = labels.length === 2 ? labels.indexOf(answer.sentiment) : "";
    this.part(".verdict .sure").textContent = sure;
    this.part(".measure").replaceChildren(...measure(answer, labels));
    this.part(".origin").textContent = `${answer.model}, version ${answer.version}`;
    this.part(".facts").textContent = [
      milliseconds(time),
      `${several(answer.words_used, "word")} read`,
      ...(answer.words_unknown ? [`${count(answer.words_unknown)} unknown`] : []),
      ...(answer.words_cut ? [`${several(answer.words_cut, "word")} cut`] : []),
    ].join(" · ");
    this.element.classList.remove("stale");
    this.element.setAttribute("aria-busy", "false");
  }

  async #explain(box, text, labels, signal) {
    if (!labels) return; // there was no verdict
    box.classList.add("stale");
    await pause(EXPLAIN_MS, signal);
    try {
      const body = { text, budget: EXPLAIN_TEXTS, ...selectModel(this.choice) };
      const { value } = await ask("sentiment/explain", { body, signal });
      const target = labels.length === 2 ? labels[1] : value.sentiment ?? "the likeliest label";
      const against = labels.length === 2 ? labels[0] : "other labels";
      showExplanation(box, text, value, target, against);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      for (const part of box.children) part.hidden = part !== box.firstElementChild;
      box.firstElementChild.textContent = `The words are not shaded. ${error.message}`;
    }
    box.hidden = false;
    box.classList.remove("stale");
  }

  #showProblem(message) {
    this.part(".problem").textContent = message;
    this.part(".problem").hidden = false;
    this.part(".verdict").hidden = true;
    this.part(".measure").replaceChildren();
    this.part(".facts").textContent = "";
    this.part(".explanation").hidden = true;
    this.element.classList.remove("stale");
    this.element.setAttribute("aria-busy", "false");
  }
}

function aborted(signal) {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

/** Return after a time; throws if the signal aborts before. */
function pause(time, signal) {
  signal.throwIfAborted();
  return Promise.race([new Promise((resume) => setTimeout(resume, time)), aborted(signal)]);
}

/** Return the probability of the verdict; null without one. */
function findConfidence(answer, labels) {
  if (answer.sentiment === null) return null;
  if (labels.length > 2) return answer.probability;
  return Math.max(answer.probability_positive, 1 - answer.probability_positive);
}

function judge(answer, labels) {
  const confidence = findConfidence(answer, labels);
  if (confidence === null) {
    const why = answer.words_used ? "the model knows none of these words" : "there are no words yet";
    return { verdict: "No verdict", sure: why };
  }
  const sure = confidence >= 0.95 ? "very sure" : confidence >= 0.8 ? "fairly sure" : confidence >= 0.6 ? "leaning" : "undecided";
  return { verdict: capital(answer.sentiment), sure: `${percent(confidence)}, ${sure}` };
}

function describeAnswer(answer, labels) {
  const { verdict, sure } = judge(answer, labels);
  return `${answer.model}: ${verdict}, ${sure}.`;
}

/** Return a meter between two labels, or one of each of several labels. */
function measure(answer, labels) {
  if (labels.length > 2) {
    return labels.map((label) => {
      const share = answer.probabilities?.[label] ?? 0;
      const bar = meter(`Probability of ${label}`, share, percent(share));
      return make("div", { className: "row" }, make("span", { textContent: label }), bar, make("span", { textContent: percent(share) }));
    });
  }
  const second = answer.probability_positive ?? 0.5;
  const words = answer.sentiment === null ? "no verdict" : `${percent(second)} ${labels[1]}, ${percent(1 - second)} ${labels[0]}`;
  const bar = meter(`Between ${labels[0]} and ${labels[1]}`, second, words);
  bar.classList.add("between");
  bar.firstChild.style.left = `${100 * Math.min(second, 0.5)}%`;
  bar.firstChild.style.width = `${100 * Math.abs(second - 0.5)}%`;
  bar.dataset.side = second >= 0.5 ? "1" : "0";
  const ends = make(
    "div",
    { className: "ends" },
    make("span", { textContent: `${labels[0]} ${answer.sentiment === null ? "" : percent(1 - second)}` }),
    make("span", { textContent: `${labels[1]} ${answer.sentiment === null ? "" : percent(second)}` }),
  );
  return [bar, ends];
}

function meter(label, share, words) {
  const bar = make("div", { className: "meter" }, make("div", { className: "fill" }));
  bar.firstChild.style.width = `${100 * share}%`;
  const described = { role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": share, "aria-valuetext": words };
  for (const [name, value] of Object.entries(described)) bar.setAttribute(name, value);
  return bar;
}

/** Show the words of a text, shaded by their contributions to the logit of a label. */
function showExplanation(box, text, explained, target, against) {
  for (const part of box.children) part.hidden = false;
  const characters = Array.from(text); // places count code points
  const cut = (start, end) => characters.slice(start, end).join("");
  const tokens = explained.tokens.map((token) => ({ ...token, word: cut(token.start, token.end) }));
  const scale = Math.max(LEAST_SCALE, ...tokens.map((token) => Math.abs(token.contribution)));
  const parts = [];
  const first = tokens[0]?.start ?? characters.length;
  const last = tokens.at(-1)?.end ?? characters.length;
  const isCut = (part) => explained.words_cut > 0 && /[\p{L}\p{N}]/u.test(part);
  const between = (part, mayBeCut) => (mayBeCut && isCut(part) ? make("s", { textContent: part, title: "not read" }) : part);
  parts.push(between(cut(0, first), true));
  let place = first;
  for (const token of tokens) {
    if (token.start > place) parts.push(cut(place, token.start));
    if (token.word) parts.push(shade(token, scale));
    place = Math.max(place, token.end);
  }
  parts.push(between(cut(last), true));
  box.querySelector(".words").replaceChildren(...parts.filter((part) => part !== ""));
  const hasUnknown = tokens.some((token) => !token.is_known);
  box.querySelector(".legend").replaceChildren(
    make("span", { className: "key for", textContent: `towards ${target}` }),
    make("span", { className: "key against", textContent: `towards ${against}` }),
    ...(hasUnknown ? [make("span", { className: "key unknown", textContent: "unknown word" })] : []),
    ...(explained.words_cut ? [make("s", { className: "key", textContent: "not read" })] : []),
  );
  const sorted = tokens.filter((token) => token.word).sort((one, other) => other.contribution - one.contribution);
  const name = (some) => some.map((token) => `${token.word} ${signed(token.contribution)}`).join(", ");
  const best = name(sorted.slice(0, NAMED_WORDS).filter((token) => token.contribution > 0.005));
  const worst = name(sorted.slice(-NAMED_WORDS).reverse().filter((token) => token.contribution < -0.005));
  box.querySelector(".strongest").replaceChildren(
    ...(best ? [make("b", { textContent: `Most towards ${target}: ` }), best] : []),
    ...(best && worst ? [make("br")] : []),
    ...(worst ? [make("b", { textContent: `Most towards ${against}: ` }), worst] : []),
  );
  fillTable(box.querySelector("table"), tokens, explained, target);
}

function shade(token, scale) {
  const strength = Math.abs(token.contribution) / scale;
  const word = make("span", {
    className: `word ${token.contribution >= 0 ? "for" : "against"}${token.is_known ? "" : " unknown"}`,
    title: `${signed(token.contribution)}${token.is_known ? "" : ", unknown word"}`,
    textContent: token.word,
  });
  word.style.setProperty("--strength", strength.toFixed(3));
  return word;
}

function signed(number) {
  const shown = Math.abs(number).toFixed(2);
  return Number(shown) === 0 ? shown : `${number > 0 ? "+" : "\u2212"}${shown}`;
}

function fillTable(table, tokens, explained, target) {
  const head = ["Word", "Contribution", "Standard error", "Known"].map((title) => make("th", { scope: "col", textContent: title }));
  const rows = tokens.map((token) => {
    const error = token.standard_error === null ? "not known" : token.standard_error.toFixed(3);
    return make(
      "tr",
      {},
      make("th", { scope: "row", textContent: token.word || "(same character)" }),
      ...[signed(token.contribution), error, token.is_known ? "yes" : "no"].map((cell) => make("td", { textContent: cell })),
    );
  });
  table.replaceChildren(
    make("caption", {
      textContent:
        `What every word adds to the logit of ${target}: from ${signed(explained.logit_of_nothing)} for a text without words ` +
        `to ${signed(explained.logit)} for this one.`,
    }),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
}

/** Connect the part of the page; returns a function that takes the models. */
export function startSentiment() {
  const [text, model, compare, explain] = ["text", "model", "compare", "explain"].map(find);
  let choices = [];
  let cards = [];

  const speak = debounce(() => {
    find("spoken").textContent = cards.map((card) => card.said).filter(Boolean).join(" ");
  }, SPEAK_MS);

  function judgeAll() {
    for (const card of cards) {
      card.judge(text.value, explain.checked).then((said) => {
        if (said) {
          card.said = said;
          speak();
        }
      });
    }
  }

  function describeLength() {
    const characters = Array.from(text.value).length;
    const over = characters > limits.characters ? `, ${count(characters - limits.characters)} too many` : "";
    find("text-count").textContent = `${several(characters, "character")}${over}`;
  }

  function choose() {
    for (const card of cards) card.stop.abort();
    const ids = [model.value, compare.value].filter(Boolean);
    cards = ids.map((id) => new Card(choices.find((choice) => choice.id === id)));
    find("answers").replaceChildren(...cards.map((card) => card.element));
    find("sentiment").querySelector(".bench").classList.toggle("two", cards.length > 1);
    judgeAll();
  }

  const judgeSoon = debounce(judgeAll, TYPING_MS);
  text.addEventListener("input", () => {
    describeLength();
    judgeSoon();
  });
  function offerOthers() {
    fill(compare, choices.filter(({ id }) => id !== model.value), ["nothing"]);
  }

  model.addEventListener("change", () => {
    offerOthers();
    choose();
  });
  compare.addEventListener("change", choose);
  explain.addEventListener("change", judgeAll);
  find("examples").append(
    ...EXAMPLES.map(([title, example]) =>
      make("button", {
        type: "button",
        textContent: title,
        title: example,
        onclick: () => {
          text.value = example;
          describeLength();
          judgeAll();
        },
      }),
    ),
  );
  if (!text.value) text.value = EXAMPLES[0][1];
  describeLength();

  return (all) => {
    choices = all.filter((choice) => choice.task === "sentiment");
    fill(model, choices);
    offerOthers();
    if (choices.length) choose();
    else find("answers").replaceChildren(make("p", { className: "card quiet", textContent: "The service has no model of sentiment." }));
  };
}

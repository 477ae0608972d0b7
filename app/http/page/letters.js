// The next letter of a sequence: pressed or typed letters, and how probable each letter is.

import { count, fill, find, make, milliseconds, percent } from "./elements.js";
import { Failure, ask, describeModel, isAbort, selectModel } from "./service.js";

const MOST_LETTERS = 200; // which a model may have
const SHOWN_BARS = 8;
const NAMES = { " ": "space", "\t": "tab", "\u00a0": "no-break space" };
const MARKS = { " ": "\u2423", "\t": "\u21e5", "\u00a0": "\u237d" };

const nameLetter = (letter) => NAMES[letter] ?? letter;
const showLetter = (letter) => MARKS[letter] ?? letter;

/** Connect the part of the page; returns a function that takes the models. */
export function startLetters() {
  const [sequence, model, keys, bars, note] = ["sequence", "letter-model", "keys", "bars", "next-note"].map(find);
  let choices = [];
  let stop = new AbortController();

  const findChoice = () => choices.find((choice) => choice.id === model.value);

  function change(text) {
    sequence.value = text;
    update();
  }

  async function update() {
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    const choice = findChoice();
    if (!choice) return;
    find("undo").disabled = find("clear").disabled = !sequence.value;
    if (!sequence.value) {
      show([]);
      note.textContent = "Press a letter, or type one.";
      find("next-facts").textContent = "";
      return;
    }
    find("next").setAttribute("aria-busy", "true");
    try {
      const { length } = (await describeModel(choice)).preprocessing;
      const letters = Array.from(sequence.value);
      const read = letters.slice(-length).join("");
      find("sequence-note").textContent = letters.length > length ? `The model reads the last ${length} of ${count(letters.length)}.` : "";
      const body = { sequence: read, top_k: MOST_LETTERS, ...selectModel(choice) };
      const { value, milliseconds: time } = await ask("next-letter", { body, signal });
      show(value.top);
      note.textContent = `Likeliest: ${nameLetter(value.next_letter)}, ${percent(value.probability)}.`;
      find("next-facts").textContent = `${value.model}, version ${value.version} · ${milliseconds(time)}`;
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof Failure)) throw error;
      show([]);
      note.textContent = error.message;
      find("next-facts").textContent = "";
    }
    find("next").setAttribute("aria-busy", "false");
  }

  function show(top) {
    const others = top.slice(SHOWN_BARS);
    const rest = others.reduce((sum, { probability }) => sum + probability, 0);
    bars.replaceChildren(
      ...top.slice(0, SHOWN_BARS).map(({ letter, probability }) => {
        const fill = make("span", { className: "fill" });
        fill.style.width = `${100 * probability}%`;
        const button = make(
          "button",
          { type: "button", onclick: () => change(sequence.value + letter) },
          make("b", { textContent: showLetter(letter) }),
          make("span", { className: "meter" }, fill),
          make("span", { className: "share", textContent: percent(probability) }),
        );
        button.setAttribute("aria-label", `Go on with ${nameLetter(letter)}, ${percent(probability)}`);
        return make("li", {}, button);
      }),
      ...(others.length ? [make("li", { className: "quiet", textContent: `${count(others.length)} others, together ${percent(rest)}` })] : []),
    );
    const shares = new Map(top.map(({ letter, probability }) => [letter, probability]));
    for (const key of keys.children) key.style.setProperty("--share", shares.get(key.value) ?? 0);
  }

  function choose() {
    const alphabet = Array.from(findChoice()?.alphabet ?? "");
    keys.replaceChildren(
      ...alphabet.map((letter) => {
        const key = make("button", { type: "button", value: letter, textContent: showLetter(letter) });
        if (nameLetter(letter) !== letter) key.setAttribute("aria-label", nameLetter(letter));
        return key;
      }),
    );
    const foreign = Array.from(sequence.value).some((letter) => !alphabet.includes(letter) && !alphabet.includes(letter.toUpperCase()));
    if (foreign || !sequence.value) sequence.value = alphabet.slice(0, 3).join("");
    update();
  }

  keys.addEventListener("click", ({ target }) => {
    if (target.value) change(sequence.value + target.value);
  });
  sequence.addEventListener("input", update);
  model.addEventListener("change", choose);
  find("undo").addEventListener("click", () => change(Array.from(sequence.value).slice(0, -1).join("")));
  find("clear").addEventListener("click", () => change(""));

  return (all) => {
    choices = all.filter((choice) => choice.task === "next-letter");
    fill(model, choices);
    if (choices.length) choose();
    else note.textContent = "The service has no model of next letters.";
  };
}

// Whole files: choose the columns, score all rows, look at the scores, download the rows with columns added.

import { LABEL_NAMES, TEXT_NAMES, findColumns } from "./columns.js";
import { capital, count, fill, find, make, percent, several } from "./elements.js";
import { FileError, describeValue, openTable } from "./parsing.js";
import { FIRST_ROWS, Scoring, compare } from "./scoring.js";
import { Failure, describeModel, duration, isAbort } from "./service.js";

const SHOWN_CHARACTERS = 160; // of a field
const SHOW_MS = 250;
const SPEAK_MS = 10_000;
const RATE_MS = 15_000; // over which the rate is measured

/** Connect the part of the page; returns a function that takes the models. */
export function startFiles() {
  const [drop, input, setup, results, start, cancel, download] = ["drop", "file", "setup", "results", "start", "cancel", "download"].map(find);
  const [textColumn, labelColumn, model] = ["text-column", "label-column", "file-model"].map(find);
  let choices = [];
  let file = null;
  let head = null; // table and rows of the beginning of the file
  let stop = null; // of a running scoring

  function showProblem(words) {
    find("file-problem").hidden = !words;
    find("file-problem").textContent = words ?? "";
  }

  async function take(taken) {
    if (!taken) return;
    stop?.abort();
    showProblem(null);
    setup.hidden = results.hidden = true;
    try {
      head = await openTable(taken);
    } catch (error) {
      showProblem(`${taken.name}: ${error.message}`);
      if (!(error instanceof FileError)) throw error;
      return;
    }
    file = taken;
    if (head.table.error) showProblem(`${file.name}: ${head.table.error.message}`);
    find("file-name").textContent = `${file.name}, ${describeSize(file.size)}`;
    fillColumns();
    showPreview(null);
    find("progress-box").hidden = true;
    setup.hidden = false;
    start.disabled = !choices.length;
  }

  function fillColumns() {
    const { columns } = head.table;
    const options = () => columns.map((name, place) => make("option", { value: String(place), textContent: name || `column ${place + 1}` }));
    const choose = (select, places, none) => {
      const first = make("option", { value: "", textContent: none });
      select.replaceChildren(...(select === textColumn && places.length === 1 ? [] : [first]), ...options());
      select.value = places.length === 1 ? String(places[0]) : "";
      select.disabled = select.options.length < 2;
    };
    const texts = findColumns(columns, TEXT_NAMES);
    choose(textColumn, texts, "choose one");
    choose(labelColumn, findColumns(columns, LABEL_NAMES, texts.length === 1 ? texts : []), "none");
  }

  function showPreview(scoring) {
    const { table } = head;
    const { columns } = table;
    const added = scoring?.names ?? [];
    const cell = (name, text, className = "") => make(name, { className, textContent: clip(text), ...(name === "th" ? { scope: "col" } : {}) });
    const mark = (place) => (String(place) === textColumn.value ? "text" : "");
    const first = head.rows.slice(0, FIRST_ROWS).map((row, number) => {
      const values = scoring?.tally.first[number] ?? added.map(() => "");
      return make(
        "tr",
        {},
        ...values.map((value) => cell("td", Number.isInteger(value) ? count(value) : (value?.toFixed?.(4) ?? value ?? "none"), "added")),
        ...columns.map((_, place) => cell("td", describeValue(table.peek(row, place)), mark(place))),
      );
    });
    find("preview").replaceChildren(
      make("thead", {}, make("tr", {}, ...added.map(addedHead), ...columns.map((name, place) => cell("th", name, mark(place))))),
      make("tbody", {}, ...first),
    );
    find("preview-note").hidden = !added.length;
  }

  async function score() {
    if (textColumn.value === "") {
      showProblem("Choose the column with the text first.");
      textColumn.focus();
      return;
    }
    const choice = choices.find((one) => one.id === model.value);
    stop = new AbortController();
    const { signal } = stop;
    showProblem(null);
    setRunning(true);
    let problem = null;
    let scoring = null;
    let timer = null;
    try {
      const { labels } = await describeModel(choice);
      const column = labelColumn.value === "" ? null : Number(labelColumn.value);
      const job = { file, table: head.table, choice, labels, textColumn: Number(textColumn.value), labelColumn: column };
      let words = null;
      scoring = new Scoring(job, signal, (note) => (words = note));
      const progress = new Progress(file.size);
      timer = setInterval(() => show(scoring, progress, words), SHOW_MS);
      await scoring.run();
      clearInterval(timer);
      show(scoring, progress, null);
      find("progress").value = 1;
      find("progress-words").textContent = `Done: ${several(scoring.tally.rows, "row")} in ${duration(progress.seconds)}.`;
    } catch (error) {
      clearInterval(timer);
      if (isAbort(error) && stop?.signal !== signal) return; // another file was chosen
      const scored = scoring?.tally.rows ? ` ${several(scoring.tally.rows, "row")} before that ${scoring.tally.rows === 1 ? "is" : "are"} scored.` : "";
      if (isAbort(error)) problem = `Cancelled.${scored.replace(" before that", "")}`;
      else if (error instanceof FileError || error instanceof Failure) problem = `${error.message}${scored}`;
      else throw error;
      find("progress-words").textContent = problem;
      if (!isAbort(error)) showProblem(problem);
    } finally {
      if (stop?.signal === signal) setRunning(false);
    }
    find("progress-spoken").textContent = find("progress-words").textContent;
    if (scoring) showResults(scoring, true);
  }

  function setRunning(isRunning) {
    for (const select of [textColumn, labelColumn, model]) select.disabled = isRunning || select.options.length < 2;
    start.hidden = isRunning;
    cancel.hidden = !isRunning;
    (isRunning ? cancel : start).focus();
    find("progress-box").hidden = false;
    if (isRunning) {
      results.hidden = true;
      find("progress").value = 0;
      find("progress-words").textContent = "Starting\u2026";
    }
  }

  function show(scoring, progress, words) {
    progress.note(scoring.bytes, scoring.tally.rows);
    find("progress").value = progress.share;
    find("progress-words").textContent = words ?? progress.words;
    if (progress.speaks) find("progress-spoken").textContent = words ?? progress.words;
    if (scoring.tally.rows) showResults(scoring, false);
  }

  function showResults(scoring, isOver) {
    const { tally, job } = scoring;
    results.hidden = !tally.rows;
    if (!tally.rows) return;
    showPreview(scoring);
    find("figures").replaceChildren(...describeTally(tally, job));
    download.hidden = !isOver;
    if (!isOver) return;
    if (download.href) URL.revokeObjectURL(download.href);
    download.href = URL.createObjectURL(scoring.makeFile());
    const { ending } = job.table;
    download.download = file.name.replace(/\.gz$/i, "").replace(/(\.[^.]*)?$/, (own) => `-scored${ending ?? own}`);
    download.textContent = `Download the scored file${ending ? " as CSV" : ""}`;
  }

  function takeChosen() {
    take(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  }

  input.addEventListener("change", takeChosen);
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragenter" || name === "dragover");
      if (name === "drop") take(event.dataTransfer.files[0]);
    });
  }
  textColumn.addEventListener("change", () => {
    showProblem(null);
    showPreview(null);
  });
  start.addEventListener("click", score);
  cancel.addEventListener("click", () => stop?.abort());
  takeChosen(); // while this script was loading

  return (all) => {
    choices = all.filter((choice) => choice.task === "sentiment");
    fill(model, choices);
    start.disabled = !choices.length;
  };
}

/** How fast the rows are scored. */
class Progress {
  #size;
  #started = performance.now();
  #samples = [];
  #spoken = performance.now();

  constructor(size) {
    this.#size = size;
  }

  note(bytes, rows) {
    const now = performance.now();
    this.#samples.push({ now, bytes, rows });
    while (this.#samples.length > 2 && now - this.#samples[0].now > RATE_MS) this.#samples.shift();
  }

  get share() {
    return this.#size ? this.#samples.at(-1).bytes / this.#size : 1;
  }

  get seconds() {
    return (performance.now() - this.#started) / 1000;
  }

  /** Whether it is time for a screen reader to say something. */
  get speaks() {
    const now = performance.now();
    if (now - this.#spoken < SPEAK_MS) return false;
    this.#spoken = now;
    return true;
  }

  get words() {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const seconds = (last.now - first.now) / 1000;
    const rows = `${percent(this.share)} \u00b7 ${several(last.rows, "row")}`;
    if (last.bytes === first.bytes) return rows;
    const left = ((this.#size - last.bytes) / (last.bytes - first.bytes)) * seconds;
    return `${rows} \u00b7 ${count(Math.round((last.rows - first.rows) / seconds))} rows/s \u00b7 ${duration(left)} left`;
  }
}

function describeSize(bytes) {
  if (bytes < 1000) return several(bytes, "byte");
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Return the head of an added column, whose name may break behind its underscores. */
function addedHead(name) {
  return make("th", { className: "added", scope: "col" }, ...name.split(/(?<=_)/).flatMap((part) => [make("wbr"), part]));
}

function clip(text) {
  const shown = String(text);
  return shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS)}\u2026` : shown;
}

/** Return elements that show what has been found out about the rows. */
function describeTally(tally, { labels, table }) {
  const verdicts = labels.map((label) => `${label} ${count(tally.verdicts.get(label) ?? 0)}`);
  const notes = [
    ...(tally.unread - tally.tooLong ? [`${several(tally.unread - tally.tooLong, "row")} without a known word`] : []),
    ...(tally.tooLong ? [`${several(tally.tooLong, "text")} too long, at ${table.unit.toLowerCase()} ${tally.firstTooLong.join(", ")}${tally.tooLong > tally.firstTooLong.length ? ", \u2026" : ""}`] : []),
  ];
  const shown = make(
    "section",
    {},
    make("h3", { textContent: several(tally.rows, "row") }),
    make("p", { textContent: verdicts.join(" \u00b7 ") }),
    ...(notes.length ? [make("p", { className: "quiet", textContent: `Without a verdict: ${notes.join("; ")}.` })] : []),
  );
  return [shown, drawHistogram(tally, labels), ...(tally.truths.size ? [drawConfusion(tally, labels)] : [])];
}

function drawHistogram({ bins }, labels) {
  const most = Math.max(...bins, 1);
  const name = labels.length === 2 ? `probability of ${labels[1]}` : "probability of the verdict";
  const bars = bins.map((rows, place) => {
    const bar = make("i", { title: `${(place / bins.length).toFixed(2)} to ${((place + 1) / bins.length).toFixed(2)}: ${several(rows, "row")}` });
    bar.style.height = `${(100 * rows) / most}%`;
    return bar;
  });
  const halves = [bins.slice(0, bins.length / 2), bins.slice(bins.length / 2)].map((half) => half.reduce((sum, rows) => sum + rows, 0));
  const chart = make("div", { className: "histogram" }, ...bars);
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", `Histogram of the ${name}: ${several(halves[0], "row")} below 0.5, ${count(halves[1])} from 0.5 on.`);
  return make(
    "section",
    {},
    make("h3", { textContent: capital(name) }),
    chart,
    make("div", { className: "ends" }, make("span", { textContent: "0" }), make("span", { textContent: "0.5" }), make("span", { textContent: "1" })),
  );
}

function drawConfusion(tally, labels) {
  const { counts, others, compared, right } = compare(tally, labels);
  const title = make("h3", { textContent: compared ? `${percent(right / compared)} accuracy` : "No accuracy" });
  const foreign = [...others.keys()].slice(0, 3).map((value) => `\u201c${clip(value)}\u201d`).join(", ");
  const notes = [
    ...(others.size ? [`The model has no label for ${foreign}${others.size > 3 ? ", \u2026" : ""}; its labels are ${labels.join(", ")}.`] : []),
    ...(tally.unlabelled ? [`${several(tally.unlabelled, "row")} without a label.`] : []),
  ];
  const note = notes.length ? [make("p", { className: "quiet", textContent: notes.join(" ") })] : [];
  if (!compared) return make("section", {}, title, ...note);
  const noVerdict = counts.some((row) => row.at(-1));
  const columns = noVerdict ? [...labels, "no verdict"] : labels;
  const table = make(
    "table",
    { className: "confusion" },
    make("caption", { textContent: `Rows by right label and verdict, of ${count(compared)}` }),
    make(
      "thead",
      {},
      make("tr", {}, make("td", {}), ...columns.map((label) => make("th", { scope: "col", textContent: `verdict ${label}` }))),
    ),
    make(
      "tbody",
      {},
      ...labels.map((label, place) => {
        const total = counts[place].reduce((sum, rows) => sum + rows, 0) || 1;
        const cells = counts[place].slice(0, columns.length).map((rows, column) => {
          const cell = make("td", { className: column === place ? "right" : "wrong" }, count(rows), make("small", { textContent: percent(rows / total) }));
          cell.style.setProperty("--share", (rows / total).toFixed(3));
          return cell;
        });
        return make("tr", {}, make("th", { scope: "row", textContent: label }), ...cells);
      }),
    ),
  );
  return make("section", {}, title, make("div", { className: "scroll" }, table), ...note);
}

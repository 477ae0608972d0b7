// Scores the rows of a file in batches, within the limits of the service.

import { NO_TEXT, listValues, matchLabel, nameColumns } from "./columns.js";
import { capital } from "./elements.js";
import { FileError } from "./parsing.js";
import { Failure, ask, limits, selectModel, waitForKey } from "./service.js";

const LANES = 4; // batches at a time, fewer once the service was overloaded
const EASED_BATCHES = 20; // that are answered before there is one more again
const MOST_WAIT_S = 120; // longer waits are left to the user
const MOST_BYTES = limits.bytes - 1000; // of the texts in a body
const MOST_TRIES = 3; // of one text that takes too long
const MOST_TRUTHS = 200; // different right labels that are counted
const BLOB_CHARACTERS = 1 << 20;
const BINS = 20;
const LISTED = 5;
export const FIRST_ROWS = 6; // which are shown

const encoder = new TextEncoder();

/** What has been found out about the rows so far. */
export class Tally {
  rows = 0;
  unread = 0; // rows without a verdict
  first = []; // values of the added columns in the first rows
  tooLong = 0;
  firstTooLong = []; // their lines
  bins = new Array(BINS).fill(0); // of the probability of the second of two labels, or of the verdict
  verdicts = new Map();
  unlabelled = 0;
  truths = new Map(); // right label as it is in the file -> verdict -> rows

  note(answer, probability, truth) {
    this.rows++;
    if (answer === null || answer.sentiment === null) this.unread++;
    else {
      this.bins[Math.min(BINS - 1, Math.floor(probability * BINS))]++;
      this.verdicts.set(answer.sentiment, (this.verdicts.get(answer.sentiment) ?? 0) + 1);
    }
    if (truth === "") this.unlabelled++;
    else if (truth !== null) {
      const verdict = answer?.sentiment ?? "";
      const key = this.truths.has(truth) || this.truths.size < MOST_TRUTHS ? truth : "(others)";
      const row = this.truths.get(key) ?? new Map();
      row.set(verdict, (row.get(verdict) ?? 0) + 1);
      this.truths.set(key, row);
    }
  }

  noteTooLong(line) {
    this.tooLong++;
    if (this.firstTooLong.length < LISTED) this.firstTooLong.push(line);
  }
}

/** Scores one file. */
export class Scoring {
  tally = new Tally();
  bytes = 0; // of the file, whose rows are scored
  #output = []; // blobs
  #lines = []; // of the next blob
  #characters = 0;
  #pausedUntil = 0;
  #lanes = LANES;
  #eased = 0; // batches since the service was overloaded

  /**
   * @param job file, table, textColumn and labelColumn (numbers; labelColumn may be null), choice, labels
   * @param signal cancels
   * @param note is called with words about what the service does, or null if all is well
   */
  constructor(job, signal, note) {
    this.job = job;
    this.signal = signal;
    this.note = note;
    this.names = nameColumns(job.labels);
  }

  /** Score all rows. Throws FileError, Failure, or an AbortError. */
  async run() {
    const { columns } = this.job.table;
    const taken = columns.find((column) => this.names.includes(column.trim()));
    if (taken !== undefined) throw describeTaken(null, taken.trim());
    const running = []; // promises of batches, in the order of the file
    const stopped = new AbortController();
    this.signal = AbortSignal.any([this.signal, stopped.signal]);
    try {
      for await (const batch of this.#makeBatches()) {
        const answers = this.#score(batch.rows.filter((row) => row.isSent));
        answers.catch(() => {}); // it is awaited below
        running.push({ batch, answers });
        while (running.length >= this.#lanes) await this.#finish(running.shift());
      }
      for (const one of running) await this.#finish(one);
    } catch (error) {
      if (error instanceof FileError) for (const one of running) await this.#finish(one); // the rows before it
      throw error;
    } finally {
      stopped.abort();
    }
  }

  /** Return the rows that are scored, with columns added, as a file. */
  makeFile() {
    return new Blob([...this.#output, ...this.#lines], { type: "text/plain;charset=utf-8" });
  }

  async *#makeBatches() {
    const { file, table, textColumn, labelColumn } = this.job;
    let rows = [];
    let size = 0;
    let bytes = 0;
    try {
      for await (const part of table.readParts(file)) {
        ({ bytes } = part);
        for (const row of part.rows) {
          this.signal.throwIfAborted();
          const taken = table.findTaken(row, this.names);
          if (taken) throw describeTaken(row.line, taken);
          const text = table.read(row, textColumn);
          const json = JSON.stringify(text);
          const length = encoder.encode(json).length + 1;
          const isTooLong = length > MOST_BYTES || (text.length > limits.characters && Array.from(text).length > limits.characters);
          if (rows.length === limits.batch || (rows.length && size + length > MOST_BYTES)) {
            yield { rows, bytes };
            rows = [];
            size = 0;
          }
          const isSent = !isTooLong && text !== "";
          rows.push({ row, json, isTooLong, isSent, truth: labelColumn === null ? null : table.readLabel(row, labelColumn) });
          size += isSent ? length : 0;
        }
      }
    } catch (error) {
      if (rows.length && error instanceof FileError) yield { rows, bytes }; // the rows before the wrong one
      throw error;
    }
    if (rows.length) yield { rows, bytes };
  }

  async #score(rows) {
    if (!rows.length) return [];
    const select = JSON.stringify(selectModel(this.job.choice)).slice(1, -1);
    const body = `{${select},"texts":[${rows.map((row) => row.json).join(",")}]}`;
    for (let tries = 1; ; tries++) {
      await this.#pause();
      try {
        const { value } = await ask("sentiment/batch", { body, signal: this.signal });
        this.note(null);
        if (++this.#eased % EASED_BATCHES === 0) this.#lanes = Math.min(LANES, this.#lanes + 1);
        return value.answers;
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if ((error.kind === "late" || error.kind === "large") && rows.length > 1) {
          const half = rows.length >> 1;
          return [...(await this.#score(rows.slice(0, half))), ...(await this.#score(rows.slice(half)))];
        }
        if (error.kind === "late" && tries === MOST_TRIES) throw error;
        await this.#recover(error);
      }
    }
  }

  /** Return once a request may be tried again; throws the failure if that makes no sense. */
  async #recover(error) {
    this.note(error.message);
    if (error.kind === "busy") {
      this.#lanes = Math.max(1, this.#lanes - 1);
      this.#eased = 0;
    }
    if (error.kind === "key") await Promise.race([waitForKey(), this.#aborted()]);
    else if (["busy", "quota", "offline", "late"].includes(error.kind) && error.seconds <= MOST_WAIT_S) {
      this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + 1000 * Math.max(1, error.seconds));
    } else throw error;
  }

  /** Wait as long as the service has asked for. */
  async #pause() {
    for (;;) {
      this.signal.throwIfAborted();
      const left = this.#pausedUntil - performance.now();
      if (left <= 0) return;
      await Promise.race([new Promise((resume) => setTimeout(resume, left)), this.#aborted()]);
    }
  }

  #aborted() {
    return new Promise((_, reject) => this.signal.addEventListener("abort", () => reject(this.signal.reason), { once: true }));
  }

  async #finish({ batch, answers: promise }) {
    const { table, labels } = this.job;
    const answers = await promise;
    if (!this.tally.rows) this.#write(table.writeHead(this.names));
    let place = 0;
    for (const { row, truth, isTooLong, isSent } of batch.rows) {
      const answer = isSent ? answers[place++] : isTooLong ? null : NO_TEXT;
      if (isTooLong) this.tally.noteTooLong(row.line);
      const probability = labels.length === 2 ? answer?.probability_positive : answer?.probability;
      this.tally.note(answer, probability, truth);
      const values = listValues(answer, labels);
      if (this.tally.first.length < FIRST_ROWS) this.tally.first.push(values);
      this.#write(table.writeRow(row, this.names.map((name, column) => [name, values[column]])));
    }
    this.bytes = batch.bytes;
  }

  #write(line) {
    this.#lines.push(line);
    this.#characters += line.length;
    if (this.#characters > BLOB_CHARACTERS) {
      this.#output.push(new Blob(this.#lines));
      this.#lines = [];
      this.#characters = 0;
    }
  }
}

function describeTaken(line, name) {
  const what = `the column ${name} is there already, and the page would add it. Rename or remove it, and choose the file again.`;
  return new FileError(line, line === null ? capital(what) : what);
}

/** Return the comparison with the right labels: how many rows of each label got which verdict. */
export function compare(tally, labels) {
  const counts = labels.map(() => new Array(labels.length + 1).fill(0)); // the last column has no verdict
  const others = new Map();
  for (const [value, verdicts] of tally.truths) {
    const truth = labels.indexOf(matchLabel(value, labels));
    for (const [verdict, rows] of verdicts) {
      if (truth < 0) others.set(value, (others.get(value) ?? 0) + rows);
      else counts[truth][verdict === "" ? labels.length : labels.indexOf(verdict)] += rows;
    }
  }
  const compared = counts.flat().reduce((sum, rows) => sum + rows, 0);
  const right = counts.reduce((sum, row, place) => sum + row[place], 0);
  return { counts, others, compared, right };
}

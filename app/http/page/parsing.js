// Reads CSV, TSV (RFC 4180) and JSONL in parts, and writes the same rows with columns added.

import { readBytes } from "./bytes.js";

const HEAD_BYTES = 1 << 18; // for the preview
const NAMING_ROWS = 100; // of JSONL, whose fields are the columns
const MOST_FIELD = 10_000_000; // characters: a longer field is a quotation mark that is never closed
const [TAB, LF, CR, QUOTE] = [9, 10, 13, 34];

/** A file cannot be read, or a line of it. */
export class FileError extends Error {
  constructor(line, what, unit = "Line") {
    super(line === null ? what : `${unit} ${line}: ${what}`);
  }
}

/** What all tables share. A row has its place as `line`, and what the table reads it from. */
export class Table {
  columns = null; // their names
  unit = "Line"; // that `line` counts
  ending = null; // of the scored file, if it has another format

  /** Return the text of a column, given by its number, in a row; empty if it is missing. */
  read(row, column) {
    const value = this.peek(row, column) ?? "";
    if (typeof value === "string") return value;
    throw new FileError(row.line, `${this.columns[column]} is not a text.`, this.unit);
  }

  /** Return a label as text; empty if it is missing. */
  readLabel(row, column) {
    return describeValue(this.peek(row, column)).trim();
  }

  /** Return which of some columns a row has already, though the table does not name it. */
  findTaken() {
    return undefined;
  }
}

/** What the formats of text share. */
class Format extends Table {
  line = 1; // that is read
  error = null; // behind the rows that were returned

  /** Return the rows that end in the next part of the file; throws the error in a line if there is no row before it. */
  push(text) {
    const rows = [];
    try {
      this.parse(text, rows);
    } catch (error) {
      if (!rows.length) throw error;
      this.error = error;
    }
    return rows;
  }

  /** Yield the rows of a file in parts, with the number of its bytes that have been read. */
  async *readParts(file) {
    const format = this.renew();
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const parts = readBytes(file);
    let bytes = 0;
    for (;;) {
      const { done, value } = await parts.next().catch((error) => {
        throw explainPacked(error, format.line);
      });
      if (done) break;
      const rows = format.push(decode(decoder, value.bytes, format));
      yield { rows, bytes: (bytes = value.at) };
      if (format.error) throw format.error;
    }
    decode(decoder, new Uint8Array(0), format, true);
    yield { rows: format.end(), bytes };
  }
}

function explainPacked(error, line) {
  if (!(error instanceof TypeError)) return error;
  return new FileError(line, "from here on, the file cannot be unpacked. It is not gzip, or it is damaged.");
}

/** Return a value as text; an object or a list as JSON. */
export function describeValue(value) {
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? "");
}

/** Return the line of a table. */
export function writeFields(fields, delimiter) {
  const quote = (field) => (field.includes(delimiter) || /["\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
  return `${fields.map(quote).join(delimiter)}\n`;
}

/** Rows of fields between delimiters; the first row has the names of the columns. Blank lines are skipped. */
export class TableFormat extends Format {
  #delimiter;
  #field = "";
  #fields = [];
  #start = 1; // line of the row
  #opened = 1; // line of the quotation mark
  #state = "start"; // of a field, or "plain", "quoted", or "closed" behind a quotation mark
  #isAfterReturn = false;

  constructor(delimiter) {
    super();
    this.delimiter = delimiter;
    this.#delimiter = delimiter.charCodeAt(0);
  }

  parse(text, rows) {
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (this.#state === "quoted") {
        const quote = text.indexOf('"', at);
        const end = quote < 0 ? text.length : quote;
        const part = text.slice(at, end);
        this.#field += part;
        for (let found = part.indexOf("\n"); found >= 0; found = part.indexOf("\n", found + 1)) this.line++;
        if (this.#field.length > MOST_FIELD) throw new FileError(this.#opened, "the quotation mark is never closed.");
        if (quote >= 0) this.#state = "closed";
        at = end;
        continue;
      }
      const isSecondOfEnd = code === LF && this.#isAfterReturn;
      this.#isAfterReturn = code === CR;
      if (isSecondOfEnd) continue;
      if (code === QUOTE && this.#state === "start") {
        this.#state = "quoted";
        this.#opened = this.line;
      } else if (code === QUOTE && this.#state === "closed") {
        this.#field += '"';
        this.#state = "quoted";
      } else if (code === this.#delimiter) {
        this.#endField();
      } else if (code === LF || code === CR) {
        this.#endField();
        this.#endRow(rows);
        this.#start = ++this.line;
      } else if (this.#state === "closed") {
        const column = this.#fields.length + 1;
        throw new FileError(this.line, `text follows the closing quotation mark in column ${column}; write a quotation mark inside a text twice.`);
      } else {
        let end = at + 1;
        for (; end < text.length; end++) {
          const next = text.charCodeAt(end);
          if (next === this.#delimiter || next === LF || next === CR) break;
        }
        this.#field += text.slice(at, end);
        this.#state = "plain";
        at = end - 1;
      }
    }
  }

  /** Return the row that ends with the file. */
  end() {
    if (this.#state === "quoted") throw new FileError(this.#opened, "the quotation mark is never closed.");
    const rows = [];
    if (this.#state !== "start" || this.#fields.length) {
      this.#endField();
      this.#endRow(rows);
    }
    return rows;
  }

  #endField() {
    this.#fields.push(this.#field);
    this.#field = "";
    this.#state = "start";
  }

  #endRow(rows) {
    const fields = this.#fields;
    this.#fields = [];
    if (fields.length === 1 && fields[0] === "") return;
    if (!this.columns) this.columns = fields;
    else if (fields.length === this.columns.length) rows.push({ line: this.#start, fields });
    else throw new FileError(this.#start, `it has ${fields.length} fields, the header has ${this.columns.length}.`);
  }

  /** Return the value of a column, given by its number, in a row. */
  peek(row, column) {
    return row.fields[column];
  }

  /** Return the header line with columns added. */
  writeHead(added) {
    return writeFields([...this.columns, ...added], this.delimiter);
  }

  /** Return the line of a row with values added. */
  writeRow(row, added) {
    return writeFields([...row.fields, ...added.map(([, value]) => String(value ?? ""))], this.delimiter);
  }

  /** Return a format for the same file from its beginning. */
  renew() {
    return new TableFormat(this.delimiter);
  }
}

/** One JSON object a line. The columns are the fields of the first objects. Blank lines are skipped. */
export class LinesFormat extends Format {
  #rest = "";

  parse(text, rows) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) {
      const row = this.#parseLine(line);
      if (row) rows.push(row);
    }
  }

  push(text) {
    const rows = super.push(text);
    if (rows.length) this.columns ??= [...new Set(rows.slice(0, NAMING_ROWS).flatMap(({ value }) => Object.keys(value)))];
    return rows;
  }

  /** Return the row that ends with the file. */
  end() {
    return this.push("\n");
  }

  #parseLine(text) {
    const line = this.line++;
    const json = text.trim();
    if (!json) return null;
    let value;
    try {
      value = JSON.parse(json);
    } catch {
      throw new FileError(line, "it is not a JSON object.");
    }
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw new FileError(line, "it is not a JSON object.");
    return { line, json, value };
  }

  /** Return the value of a column, given by its number, in a row. */
  peek(row, column) {
    return row.value[this.columns[column]];
  }

  /** Return which of some columns a row has already: see `Table.findTaken`. */
  findTaken(row, names) {
    return names.find((name) => Object.hasOwn(row.value, name));
  }

  /** Return no header. */
  writeHead() {
    return "";
  }

  /** Return the line of a row with values added; the other characters of the object stay as they are. */
  writeRow(row, added) {
    const fields = added.map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value ?? null)}`).join(", ");
    const open = row.json.slice(0, -1).trimEnd();
    return `${open}${open === "{" ? "" : ", "}${fields}}\n`;
  }

  /** Return a format for the same file from its beginning. */
  renew() {
    const format = new LinesFormat();
    format.columns = this.columns;
    return format;
  }
}

/** Return a new format for a file of text; throws an error in words for a file that the page cannot read. */
function chooseFormat(name, head = "") {
  const ending = name.toLowerCase().replace(/\.gz$/, "").split(".").pop();
  if (["jsonl", "ndjson", "json"].includes(ending)) return new LinesFormat();
  if (ending === "csv" || ending === "txt") {
    const first = head.split(/[\r\n]/, 1)[0];
    const best = [",", ";", "\t"].map((one) => [first.split(one).length, one]);
    return new TableFormat(best.reduce((one, other) => (other[0] > one[0] ? other : one))[1]);
  }
  if (ending === "tsv" || ending === "tab") return new TableFormat(String.fromCharCode(TAB));
  if (["zst", "bz2", "xz", "zip", "parquet", "pq"].includes(ending)) throw new FileError(null, "The file is compressed in a way that the page does not read. Unpack it first.");
  throw new FileError(null, "The page reads files whose names end in .csv, .tsv, .txt or .jsonl, each also with .gz, or in .parquet.");
}

/** Return the command that scores a file outside the page. */
export function makeCommand(name) {
  const quote = (path) => (/^[\w./-]+$/.test(path) ? path : `"${path}"`);
  return `python -m app score ${quote(name)} ${quote(name.replace(/(\.[^.]*)$/, "-scored$1"))} --text-column COLUMN`;
}

/** Return the table in a file, and its first rows; throws an error in words for a file that the page cannot read. */
export async function openTable(file) {
  if (!file.size) throw new FileError(null, "The file is empty.");
  const isParquet = /\.(parquet|pq)$/i.test(file.name);
  const { table, rows } = await (isParquet ? openParquet(file) : openText(file));
  if (!rows.length) throw table.error ?? new FileError(null, "There is no row in it.");
  return { table, rows };
}

async function openParquet(file) {
  const { ParquetTable } = await import("./parquet.js");
  const table = await ParquetTable.open(file);
  for await (const { rows } of table.readParts(file)) return { table, rows };
  return { table, rows: [] };
}

async function openText(file) {
  const format = chooseFormat(file.name);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let head = "";
  let size = 0;
  const parts = readBytes(file);
  for (;;) {
    const { done, value } = await parts.next().catch((error) => {
      throw explainPacked(error, 1);
    });
    if (done) break;
    head += decode(decoder, value.bytes, format);
    size += value.bytes.length;
    if (size < HEAD_BYTES) continue;
    await parts.return();
    break;
  }
  const table = chooseFormat(file.name, head);
  const rows = table.push(head);
  if (size < HEAD_BYTES && !table.error) rows.push(...table.end());
  return { table, rows };
}

/** Return the text of a part of a file; the line of an error is that of the format. */
function decode(decoder, bytes, format, isEnd = false) {
  try {
    return decoder.decode(bytes, { stream: !isEnd });
  } catch {
    const text = new TextDecoder().decode(bytes);
    format.push(text.slice(0, Math.max(0, text.indexOf("\ufffd")))); // so that the line is the right one
    throw new FileError(format.line, "it is not UTF-8. Save the file as UTF-8.");
  }
}

// Reads CSV, TSV (RFC 4180) and JSONL in parts, and writes the same rows with columns added.

const NAMING_ROWS = 100; // of JSONL, whose fields are the columns
const MOST_FIELD = 10_000_000; // characters: a longer field is a quotation mark that is never closed
const [TAB, LF, CR, QUOTE] = [9, 10, 13, 34];

/** A line of a file is wrong. */
export class FileError extends Error {
  constructor(line, what) {
    super(`Line ${line}: ${what}`);
    this.line = line;
  }
}

/** What the formats share. */
class Format {
  columns = null; // their names
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

  /** Return the text of a column, given by its number, in a row. */
  read(row, column) {
    return row.fields[column];
  }

  /** Return the header line with columns added. */
  writeHead(added) {
    return this.#write([...this.columns, ...added]);
  }

  /** Return the line of a row with values added. */
  writeRow(row, added) {
    return this.#write([...row.fields, ...added.map(([, value]) => String(value ?? ""))]);
  }

  #write(fields) {
    return `${fields.map((field) => this.#quote(field)).join(this.delimiter)}\r\n`;
  }

  #quote(field) {
    const needs = field.includes(this.delimiter) || /["\r\n]/.test(field);
    return needs ? `"${field.replaceAll('"', '""')}"` : field;
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

  /** Return the text of a column, given by its number, in a row. */
  read(row, column) {
    const value = row.value[this.columns[column]] ?? "";
    if (typeof value === "object") throw new FileError(row.line, `${this.columns[column]} is not a text.`);
    return String(value);
  }

  /** Return no header. */
  writeHead() {
    return "";
  }

  /** Return the line of a row with values added; the other characters of the object stay as they are. */
  writeRow(row, added) {
    const fields = added.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value ?? null)}`).join(",");
    const open = row.json.slice(0, -1).trimEnd();
    return `${open}${open === "{" ? "" : ","}${fields}}\n`;
  }
}

/** Return a new format for a file; throws an error in words for a file that the page cannot read. */
export function chooseFormat(name, head = "") {
  const ending = name.toLowerCase().split(".").pop();
  if (ending === "jsonl" || ending === "ndjson") return new LinesFormat();
  if (ending === "csv" || ending === "txt") {
    const first = head.split(/[\r\n]/, 1)[0];
    const best = [",", ";", "\t"].map((one) => [first.split(one).length, one]);
    return new TableFormat(best.reduce((one, other) => (other[0] > one[0] ? other : one))[1]);
  }
  if (ending === "tsv" || ending === "tab") return new TableFormat(String.fromCharCode(TAB));
  if (ending === "parquet") {
    const scored = name.replace(/(\.[^.]*)$/, "-scored$1");
    throw new Error(`The page does not read Parquet. This command does: python -m app score ${name} ${scored} --text-column COLUMN`);
  }
  if (["gz", "zst", "bz2", "xz", "zip"].includes(ending)) throw new Error("The file is compressed. Unpack it first.");
  throw new Error("The page reads files whose names end in .csv, .tsv, .txt or .jsonl.");
}

/** Yield the rows of a file in parts, with the number of bytes that have been read. */
export async function* readRows(file, format) {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = file.stream().getReader();
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const text = decode(decoder, value, format);
      yield { rows: format.push(text), bytes: (bytes += value.length) };
      if (format.error) throw format.error;
    }
    decoder.decode();
    yield { rows: format.end(), bytes };
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Return the text of a part of a file; the line of an error is that of the format. */
export function decode(decoder, bytes, format) {
  try {
    return decoder.decode(bytes, { stream: true });
  } catch {
    const text = new TextDecoder().decode(bytes);
    format.push(text.slice(0, Math.max(0, text.indexOf("\ufffd")))); // so that the line is the right one
    throw new FileError(format.line, "it is not UTF-8. Save the file as UTF-8.");
  }
}

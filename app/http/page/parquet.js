// Reads Parquet files of flat columns, page by page. It is loaded only for such a file.
// The format: the documentation of Apache Parquet and apache/parquet-format on GitHub.

import { FileError, Table, describeValue, makeCommand, writeFields } from "./parsing.js";
import { unsnap } from "./snappy.js";

const WINDOW_BYTES = 1 << 20; // that are read at a time
const HEADER_BYTES = 1 << 16; // of a page, at most
const MOST_FOOTER_BYTES = 1 << 26;
const MOST_PAGE_BYTES = 1 << 28;
const PART_ROWS = 1024;

const [BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTES] = [0, 1, 2, 3, 4, 5, 6];
const TYPES = ["BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"];
const [DATA, INDEX, DICTIONARY, DATA_2] = [0, 1, 2, 3];
const CODECS = ["none", "Snappy", "gzip", "LZO", "Brotli", "LZ4", "ZSTD", "LZ4"];
const [PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY] = [0, 2, 3, 8];
const ENCODINGS = { 4: "BIT_PACKED", 5: "DELTA_BINARY_PACKED", 6: "DELTA_LENGTH_BYTE_ARRAY", 7: "DELTA_BYTE_ARRAY", 9: "BYTE_STREAM_SPLIT" };
const [UTF8, ENUM, DECIMAL, DATE, TIME_MS, TIME_US, TIMESTAMP_MS, TIMESTAMP_US, JSON_TEXT] = [0, 4, 5, 6, 7, 8, 9, 10, 19];
const UNSIGNED = [11, 12, 13, 14]; // converted types

/** The file is not damaged, but has something that the page does not read. */
class Unsupported extends Error {}

/** A structure of Thrift's compact protocol: the values of its fields by their numbers. */
class Thrift {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  #byte() {
    if (this.at >= this.bytes.length) throw new RangeError("it ends too soon");
    return this.bytes[this.at++];
  }

  #varint() {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  #integer() {
    const value = this.#varint();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }

  #bytes(length) {
    this.at += length;
    if (this.at > this.bytes.length) throw new RangeError("it ends too soon");
    return this.bytes.subarray(this.at - length, this.at);
  }

  #value(type) {
    switch (type) {
      case 1: // within a structure, the type has the value
      case 2:
        return type === 1;
      case 3:
        return this.#byte();
      case 4:
      case 5:
      case 6:
        return this.#integer();
      case 7:
        return this.#bytes(8);
      case 8:
        return this.#bytes(this.#varint());
      case 9:
      case 10: {
        const head = this.#byte();
        const length = head >> 4 === 15 ? this.#varint() : head >> 4;
        if (length > this.bytes.length) throw new RangeError("it ends too soon");
        const isBoolean = (head & 15) <= 2;
        return Array.from({ length }, () => (isBoolean ? this.#byte() === 1 : this.#value(head & 15)));
      }
      case 12:
        return this.read();
      default:
        throw new RangeError("an unknown type of Thrift");
    }
  }

  /** Return the next structure. */
  read() {
    const fields = {};
    for (let number = 0; ; ) {
      const head = this.#byte();
      if (!head) return fields;
      number = head >> 4 ? number + (head >> 4) : this.#integer();
      fields[number] = this.#value(head & 15);
    }
  }
}

/** The bytes of a part of a file, read in windows. */
class Window {
  #bytes = new Uint8Array(0);
  #start; // of the window, in the file

  constructor(file, start, end) {
    this.file = file;
    this.at = this.#start = start;
    this.end = end;
  }

  /** Return the next bytes, without going on; fewer at the end. */
  async peek(length) {
    const wanted = Math.min(length, this.end - this.at);
    if (this.at + wanted > this.#start + this.#bytes.length) {
      const end = Math.min(this.end, this.at + Math.max(wanted, WINDOW_BYTES));
      this.#bytes = new Uint8Array(await this.file.slice(this.at, end).arrayBuffer());
      this.#start = this.at;
    }
    return this.#bytes.subarray(this.at - this.#start, this.at - this.#start + wanted);
  }

  /** Return the next bytes, and go on behind them. */
  async take(length) {
    const bytes = await this.peek(length);
    if (bytes.length < length) throw new RangeError("it ends too soon");
    this.at += length;
    return bytes;
  }
}

/** Return numbers of a few bits each, in runs and packed groups: Parquet's hybrid of RLE and bit packing. */
function unpack(bytes, bits, count) {
  const numbers = new Uint32Array(count);
  const width = (bits + 7) >> 3;
  const base = 2 ** bits;
  let at = 0;
  let filled = 0;
  if (bits > 32) throw new RangeError("a number has too many bits");
  while (filled < count) {
    let head = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= bytes.length || shift > 28) throw new RangeError("a run ends too soon");
      head += (bytes[at] & 127) * 2 ** shift;
      if (bytes[at++] < 128) break;
    }
    const run = Math.floor(head / 2);
    if (head % 2 === 0) {
      if (at + width > bytes.length || !run) throw new RangeError("a run ends too soon");
      let value = 0;
      for (let place = 0; place < width; place++) value += bytes[at + place] * 2 ** (8 * place);
      at += width;
      numbers.fill(value, filled, (filled = Math.min(count, filled + run)));
      continue;
    }
    const end = Math.min(count, filled + 8 * run);
    if (at + Math.ceil(((end - filled) * bits) / 8) > bytes.length || !run) throw new RangeError("a run ends too soon");
    let held = 0; // of bits that have been read
    let value = 0;
    let from = at;
    for (; filled < end; filled++) {
      for (; held < bits; held += 8) value += bytes[from++] * 2 ** held; // up to 39 bits: no bit operations
      numbers[filled] = value % base;
      value = Math.floor(value / base);
      held -= bits;
    }
    at += run * bits;
  }
  return numbers;
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function decompress(bytes, codec, size) {
  if (codec === 0) return bytes;
  const plain = codec === 1 ? unsnap(bytes, size) : await gunzip(bytes);
  if (plain.length !== size) throw new RangeError("a page has another size than it says");
  return plain;
}

/** Return the shortest number that is the same float of 32 bits. */
function shorten(float) {
  if (!Number.isFinite(float)) return float;
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(float.toPrecision(digits));
    if (Math.fround(short) === float) return short;
  }
  return Number(float.toPrecision(9));
}

const toNumber = (big) => (big >= Number.MIN_SAFE_INTEGER && big <= Number.MAX_SAFE_INTEGER ? Number(big) : big);

/** Return a time since 1970 by ISO 8601. */
function writeTime(ticks, perSecond, digits, isUtc) {
  const all = BigInt(ticks);
  const fraction = ((all % perSecond) + perSecond) % perSecond;
  const seconds = new Date(Number((all - fraction) / perSecond) * 1000).toISOString().slice(0, -5);
  return `${seconds}${fraction ? `.${String(fraction).padStart(digits, "0")}` : ""}${isUtc ? "Z" : ""}`;
}

/** One column: its name, and how its values are read. */
class Column {
  constructor(element) {
    this.name = new TextDecoder().decode(element[4]);
    this.type = element[1];
    this.isOptional = element[3] === 1;
    const { 6: converted, 10: logical = {} } = element;
    if (element[5] || element[3] === 2) throw new Unsupported(`Its column ${this.name} is nested.`);
    const readers = {
      [BOOLEAN]: null,
      [INT32]: [4, (view, at) => view.getInt32(at, true)],
      [INT64]: [8, (view, at) => toNumber(view.getBigInt64(at, true))],
      [FLOAT]: [4, (view, at) => shorten(view.getFloat32(at, true))],
      [DOUBLE]: [8, (view, at) => view.getFloat64(at, true)],
      [BYTES]: null,
    };
    const isText = converted === UTF8 || converted === ENUM || converted === JSON_TEXT || logical[1] || logical[4] || logical[12];
    const [what] = Object.entries({ decimals: converted === DECIMAL || logical[5], times: converted === TIME_MS || converted === TIME_US || logical[7] }).find(([, is]) => is) ?? [];
    if (what) throw new Unsupported(`Its column ${this.name} has ${what}.`);
    if (!(this.type in readers)) throw new Unsupported(`Its column ${this.name} has the type ${TYPES[this.type] ?? this.type}.`);
    if (this.type === BYTES && !isText) throw new Unsupported(`Its column ${this.name} has bytes, not texts.`);
    [this.width, this.read] = readers[this.type] ?? [];
    if (UNSIGNED.includes(converted) || logical[10]?.[2] === false) {
      this.read = this.type === INT32 ? (view, at) => view.getUint32(at, true) : (view, at) => toNumber(view.getBigUint64(at, true));
    }
    if (converted === DATE || logical[6]) this.read = (view, at) => writeTime(BigInt(view.getInt32(at, true)) * 86_400n, 1n, 0, false).slice(0, -9);
    const unit = logical[8]?.[2] ?? { [TIMESTAMP_MS]: { 1: {} }, [TIMESTAMP_US]: { 2: {} } }[converted];
    if (unit) {
      const digits = unit[1] ? 3 : unit[2] ? 6 : 9;
      const isUtc = logical[8]?.[1] ?? true;
      this.read = (view, at) => writeTime(view.getBigInt64(at, true), 10n ** BigInt(digits), digits, isUtc);
    }
  }

  /** Return values that are written one after the other. */
  readPlain(bytes, count) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.type === BOOLEAN) return Array.from({ length: count }, (_, place) => ((view.getUint8(place >> 3) >> (place & 7)) & 1) === 1);
    if (this.type !== BYTES) return Array.from({ length: count }, (_, place) => this.read(view, place * this.width));
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const texts = new Array(count);
    for (let place = 0, at = 0; place < count; place++) {
      const length = view.getUint32(at, true);
      at += 4;
      if (at + length > bytes.length) throw new RangeError("a text ends too late");
      texts[place] = decoder.decode(bytes.subarray(at, at + length));
      at += length;
    }
    return texts;
  }
}

/** Yield the values of a column in a group of rows, page by page. */
async function* readPages(file, column, about) {
  const codec = about[4];
  if (codec > 2) throw new Unsupported(`Its column ${column.name} is compressed by ${CODECS[codec] ?? codec}.`);
  const start = Math.min(about[9], about[11] || about[9]); // a dictionary comes first
  const window = new Window(file, start, Math.min(file.size, start + about[7]));
  let dictionary = null;
  for (let left = about[5]; left > 0; ) {
    const thrift = new Thrift(await window.peek(HEADER_BYTES));
    const head = thrift.read();
    await window.take(thrift.at);
    const { 1: type, 2: size, 3: packed } = head;
    if (!(size >= 0 && size <= MOST_PAGE_BYTES && packed >= 0)) throw new RangeError("a page has no size");
    const bytes = await window.take(packed);
    if (type === DICTIONARY) dictionary = column.readPlain(await decompress(bytes, codec, size), head[7][1]);
    else if (type === DATA || type === DATA_2) {
      const about = head[type === DATA ? 5 : 8];
      if (!(about[1] > 0 && about[1] <= left)) throw new RangeError("a page has more values than its column");
      left -= about[1];
      yield await (type === DATA ? readPage : readPage2)(column, about, bytes, size, codec, dictionary);
    } else if (type !== INDEX) throw new RangeError("an unknown kind of page");
  }
}

async function readPage(column, { 1: count, 2: encoding, 3: levels }, packed, size, codec, dictionary) {
  const bytes = await decompress(packed, codec, size);
  if (!column.isOptional) return readValues(column, encoding, bytes, count, dictionary);
  if (levels !== RLE) throw new Unsupported(`Its column ${column.name} has the encoding ${ENCODINGS[levels] ?? levels}.`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0, true);
  const isThere = unpack(bytes.subarray(4, 4 + length), 1, count);
  return spread(isThere, (there) => readValues(column, encoding, bytes.subarray(4 + length), there, dictionary));
}

async function readPage2(column, about, packed, size, codec, dictionary) {
  const { 1: count, 4: encoding, 5: defined, 6: repeated, 7: isPacked = true } = about;
  const levels = defined + repeated; // which are never compressed
  const rest = packed.subarray(levels);
  const bytes = isPacked ? await decompress(rest, codec, size - levels) : rest;
  if (!column.isOptional) return readValues(column, encoding, bytes, count, dictionary);
  const isThere = unpack(packed.subarray(repeated, levels), 1, count);
  return spread(isThere, (there) => readValues(column, encoding, bytes, there, dictionary));
}

/** Return values, and null where there is none. */
function spread(isThere, read) {
  const values = read(isThere.reduce((sum, there) => sum + there, 0));
  let next = 0;
  return Array.from(isThere, (there) => (there ? values[next++] : null));
}

function readValues(column, encoding, bytes, count, dictionary) {
  if (encoding === PLAIN) return column.readPlain(bytes, count);
  if ((encoding === PLAIN_DICTIONARY || encoding === RLE_DICTIONARY) && dictionary) {
    if (!count) return [];
    return Array.from(unpack(bytes.subarray(1), bytes[0], count), (place) => {
      if (place >= dictionary.length) throw new RangeError("a value is not in the dictionary");
      return dictionary[place];
    });
  }
  if (encoding === RLE && column.type === BOOLEAN) return Array.from(unpack(bytes.subarray(4), 1, count), Boolean);
  throw new Unsupported(`Its column ${column.name} has the encoding ${ENCODINGS[encoding] ?? encoding}.`);
}

async function readFooter(file) {
  const end = new Uint8Array(await file.slice(-8).arrayBuffer());
  const mark = new TextDecoder("latin1").decode(end.subarray(4));
  if (mark === "PARE") throw new Unsupported("It is encrypted.");
  const length = end.length === 8 ? new DataView(end.buffer).getUint32(0, true) : 0;
  if (mark !== "PAR1" || length + 12 > file.size || length > MOST_FOOTER_BYTES) throw new RangeError("it has no footer");
  const footer = new Thrift(new Uint8Array(await file.slice(file.size - 8 - length, file.size - 8).arrayBuffer())).read();
  if (footer[8]) throw new Unsupported("It is encrypted.");
  const columns = footer[2].slice(1).map((element) => new Column(element)); // the first is the table itself
  return { columns, groups: footer[4], rows: footer[3] };
}

/** Yield arrays of rows. */
async function* readRows(file, { columns, groups }) {
  for (const { 1: chunks, 3: rows } of groups) {
    const readers = columns.map((column, place) => {
      if (chunks[place][1]) throw new Unsupported("Its columns are in other files.");
      return { pages: readPages(file, column, chunks[place][3]), values: [], at: 0 };
    });
    for (let left = rows; left > 0; ) {
      for (const reader of readers) {
        if (reader.at < reader.values.length) continue;
        const { done, value } = await reader.pages.next();
        if (done) throw new RangeError("a column ends before the others");
        Object.assign(reader, { values: value, at: 0 });
      }
      const count = Math.min(left, PART_ROWS, ...readers.map((reader) => reader.values.length - reader.at));
      yield Array.from({ length: count }, (_, row) => readers.map((reader) => reader.values[reader.at + row]));
      for (const reader of readers) reader.at += count;
      left -= count;
    }
  }
}

/** A Parquet file. Its rows are written as CSV. */
export class ParquetTable extends Table {
  unit = "Row";
  ending = ".csv";
  #footer;

  constructor(footer) {
    super();
    this.#footer = footer;
    this.columns = footer.columns.map(({ name }) => name);
  }

  /** Return the table in a Parquet file; throws a FileError. */
  static async open(file) {
    try {
      return new ParquetTable(await readFooter(file));
    } catch (error) {
      throw explain(error, file.name, null);
    }
  }

  /** Yield the rows of the file in parts, with the number of its bytes that have been read. */
  async *readParts(file) {
    const parts = readRows(file, this.#footer);
    for (let line = 0; ; ) {
      const { done, value } = await parts.next().catch((error) => {
        throw explain(error, file.name, line + 1);
      });
      if (done) return;
      const rows = value.map((fields) => ({ line: ++line, fields }));
      yield { rows, bytes: (file.size * line) / this.#footer.rows };
    }
  }

  /** Return the value of a column, given by its number, in a row. */
  peek(row, column) {
    const value = row.fields[column];
    return Number.isNaN(value) ? null : value;
  }

  /** Return the header line with columns added. */
  writeHead(added) {
    return writeFields([...this.columns, ...added], ",");
  }

  /** Return the line of a row with values added. */
  writeRow(row, added) {
    const values = [...row.fields.map((_, column) => this.peek(row, column)), ...added.map(([, value]) => value)];
    return writeFields(values.map(describeValue), ",");
  }
}

/** Return what is wrong, in words; what is not about the file stays as it is. */
function explain(error, name, row) {
  if (error instanceof Unsupported) {
    return new FileError(null, `${error.message} The page does not read that. This command does: ${makeCommand(name)}`);
  }
  if (!(error instanceof RangeError || error instanceof TypeError)) return error;
  return row ? new FileError(row, "the file is damaged from here on.", "Row") : new FileError(null, "It is not a Parquet file, or it is damaged.");
}

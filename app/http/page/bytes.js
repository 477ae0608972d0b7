// Reads the bytes of a file in parts, and unpacks gzip.

const SCANNED_BYTES = 1 << 20; // at a time
const [MAGIC_1, MAGIC_2, DEFLATE] = [0x1f, 0x8b, 8]; // a member of gzip begins with them

/** Yield the bytes of a file in parts, each with how many bytes of the file have been read; those of a .gz file unpacked. */
export async function* readBytes(file) {
  if (file.name.toLowerCase().endsWith(".gz")) yield* unzip(file);
  else yield* readStream(file, 0, file.size, []);
}

async function* readStream(file, start, end, transforms) {
  let at = start;
  const counter = new TransformStream({
    transform(part, controller) {
      at += part.length;
      controller.enqueue(part);
    },
  });
  const all = [counter, ...transforms];
  const reader = all.reduce((stream, one) => stream.pipeThrough(one), file.slice(start, end).stream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield { bytes: value, at };
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Yield the bytes in a gzip file, which may have several members, one after the other.
 *
 * A browser unpacks one member, refuses what follows, and does not say where it ends. So a file that has more is cut where
 * a member could begin. The checksum of a member shows whether that is true.
 */
async function* unzip(file) {
  let isCut = false;
  for (let start = 0, end = file.size; ; ) {
    let unpacked = 0; // bytes of the member
    for (let isWhole = false; !isWhole; ) {
      let seen = 0;
      try {
        for await (const { bytes, at } of readStream(file, start, end, [new DecompressionStream("gzip")])) {
          const known = Math.min(bytes.length, unpacked - seen);
          seen += bytes.length;
          if (known === bytes.length) continue;
          unpacked = seen;
          yield { bytes: bytes.subarray(known), at };
        }
        isWhole = true;
      } catch (error) {
        if (!(error instanceof TypeError) || (isCut && end === file.size)) throw error;
        end = await findMember(file, isCut ? end + 1 : start + 1);
        isCut = true;
      }
    }
    if (end === file.size) return;
    start = end;
    end = await findMember(file, start + 1);
  }
}

/** Return where a member of gzip could begin, from a place on; the end of the file if there is no such place. */
async function findMember(file, from) {
  for (let start = from; start < file.size; start += SCANNED_BYTES) {
    const bytes = new Uint8Array(await file.slice(start, start + SCANNED_BYTES + 2).arrayBuffer());
    for (let at = bytes.indexOf(MAGIC_1); at >= 0 && at < SCANNED_BYTES; at = bytes.indexOf(MAGIC_1, at + 1)) {
      if (bytes[at + 1] === MAGIC_2 && bytes[at + 2] === DEFLATE) return start + at;
    }
  }
  return file.size;
}

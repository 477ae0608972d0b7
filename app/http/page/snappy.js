// Decompresses blocks of Snappy, as format_description.txt of google/snappy describes them.

/** Return the bytes of a block; throws a RangeError if it is damaged or has another size. */
export function unsnap(block, size) {
  let at = 0;
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    if (at >= block.length || shift > 28) throw new RangeError("a block of Snappy has no size");
    length += (block[at] & 127) * 2 ** shift;
    if (block[at++] < 128) break;
  }
  if (length !== size) throw new RangeError("a block of Snappy has another size than its page");
  const bytes = new Uint8Array(size);
  let filled = 0;
  while (at < block.length) {
    const tag = block[at++];
    if ((tag & 3) === 0) {
      let literal = tag >> 2;
      if (literal >= 60) {
        const width = literal - 59;
        literal = 0;
        for (let place = 0; place < width; place++) literal += block[at + place] * 2 ** (8 * place);
        at += width;
      }
      literal += 1;
      if (!(at + literal <= block.length)) throw new RangeError("a block of Snappy ends too soon");
      bytes.set(block.subarray(at, at + literal), filled); // a RangeError if it is too long
      at += literal;
      filled += literal;
      continue;
    }
    let count;
    let offset;
    if ((tag & 3) === 1) {
      count = ((tag >> 2) & 7) + 4;
      offset = ((tag >> 5) << 8) | block[at];
      at += 1;
    } else {
      count = (tag >> 2) + 1;
      offset = block[at] + block[at + 1] * 2 ** 8;
      at += 2;
      if ((tag & 3) === 3) {
        offset += block[at] * 2 ** 16 + block[at + 1] * 2 ** 24;
        at += 2;
      }
    }
    if (at > block.length || !(offset > 0 && offset <= filled) || filled + count > size) throw new RangeError("a block of Snappy is damaged");
    if (offset >= count) bytes.copyWithin(filled, filled - offset, filled - offset + count);
    else for (let place = filled; place < filled + count; place++) bytes[place] = bytes[place - offset]; // it overlaps
    filled += count;
  }
  if (filled !== size) throw new RangeError("a block of Snappy ends too soon");
  return bytes;
}

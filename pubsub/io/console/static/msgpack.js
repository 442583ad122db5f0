/* Canonical MessagePack, as docs/proofs.md defines it: arrays, unsigned integers, bin, str, nil and
   booleans, each in its shortest form. Integers are BigInt, bin is Uint8Array. */

const INT_MAX = 2n ** 63n - 1n;
const DEPTH_MAX = 16;

/** Decode canonical bytes. Throws Error for anything else. */
export function decode(bytes) {
  const reader = { bytes, at: 0 };
  const value = read(reader, 0);
  if (reader.at !== bytes.length) throw new Error("bytes behind the value");
  if (!equal(encode(value), bytes)) throw new Error("not in canonical form");
  return value;
}

/** Encode a value that `decode` could have given. */
export function encode(value) {
  const out = [];
  write(out, value);
  return Uint8Array.from(out);
}

/** Say whether two byte arrays are the same. */
export function equal(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function take(reader, count) {
  if (reader.at + count > reader.bytes.length) throw new Error("the bytes end too early");
  reader.at += count;
  return reader.bytes.subarray(reader.at - count, reader.at);
}

function number(reader, count) {
  return take(reader, count).reduce((total, byte) => total * 256n + BigInt(byte), 0n);
}

function read(reader, depth) {
  if (depth > DEPTH_MAX) throw new Error("nested too deeply");
  const tag = take(reader, 1)[0];
  if (tag < 0x80) return BigInt(tag);
  if (tag >= 0x90 && tag < 0xa0) return list(reader, tag & 0x0f, depth);
  if (tag >= 0xa0 && tag < 0xc0) return text(reader, tag & 0x1f);
  switch (tag) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: case 0xc5: case 0xc6:
      return take(reader, Number(number(reader, 1 << (tag - 0xc4)))).slice();
    case 0xcc: case 0xcd: case 0xce: case 0xcf: return integer(number(reader, 1 << (tag - 0xcc)));
    case 0xd9: case 0xda: case 0xdb:
      return text(reader, Number(number(reader, 1 << (tag - 0xd9))));
    case 0xdc: case 0xdd: return list(reader, Number(number(reader, 2 << (tag - 0xdc))), depth);
    default: throw new Error("a type that no proof has");
  }
}

function integer(value) {
  if (value > INT_MAX) throw new Error("the integer is too large");
  return value;
}

function text(reader, count) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(take(reader, count));
}

function list(reader, count, depth) {
  if (count > reader.bytes.length - reader.at) throw new Error("the bytes end too early");
  return Array.from({ length: count }, () => read(reader, depth + 1));
}

function big(out, value, count) {
  for (let i = count - 1; i >= 0; i--) out.push(Number((value >> BigInt(8 * i)) & 255n));
}

function sized(out, count, tags) {
  const wide = count < 0x100 ? 0 : count < 0x10000 ? 1 : 2;
  out.push(tags[wide]);
  big(out, BigInt(count), 1 << wide);
}

function push(out, bytes) {
  for (const byte of bytes) out.push(byte);
}

function write(out, value) {
  if (value === null) out.push(0xc0);
  else if (typeof value === "boolean") out.push(value ? 0xc3 : 0xc2);
  else if (typeof value === "bigint") writeInteger(out, value);
  else if (value instanceof Uint8Array) {
    sized(out, value.length, [0xc4, 0xc5, 0xc6]);
    push(out, value);
  } else if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    if (bytes.length < 32) out.push(0xa0 | bytes.length);
    else sized(out, bytes.length, [0xd9, 0xda, 0xdb]);
    push(out, bytes);
  } else {
    if (value.length < 16) out.push(0x90 | value.length);
    else {
      const wide = value.length < 0x10000 ? 2 : 4;
      out.push(wide === 2 ? 0xdc : 0xdd);
      big(out, BigInt(value.length), wide);
    }
    value.forEach((item) => write(out, item));
  }
}

function writeInteger(out, value) {
  if (value < 0x80n) out.push(Number(value));
  else if (value < 0x100n) out.push(0xcc, Number(value));
  else if (value < 0x10000n) { out.push(0xcd); big(out, value, 2); }
  else if (value < 0x100000000n) { out.push(0xce); big(out, value, 4); }
  else { out.push(0xcf); big(out, value, 8); }
}

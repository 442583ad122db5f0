/* BLAKE3 in derive-key mode, 32 bytes out: the digest of everything that Concordat signs.

   Written from the BLAKE3 specification. Inputs here are a few kilobytes at most, so it is plain and
   recursive rather than fast. */

const IV = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];
const PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const COLUMNS_THEN_DIAGONALS = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];
const CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8;
const DERIVE_KEY_CONTEXT = 32, DERIVE_KEY_MATERIAL = 64;
const CHUNK_BYTES = 1024, BLOCK_BYTES = 64, ROUNDS = 7;

const rotate = (word, bits) => (word >>> bits) | (word << (32 - bits));

function compress(chaining, block, counter, length, flags) {
  const state = [
    ...chaining, ...IV.slice(0, 4), counter >>> 0, Math.floor(counter / 2 ** 32), length, flags,
  ];
  let message = block;
  for (let round = 0; round < ROUNDS; round++) {
    COLUMNS_THEN_DIAGONALS.forEach(([a, b, c, d], i) => {
      const mix = (word, first, second) => {
        state[a] = (state[a] + state[b] + word) | 0;
        state[d] = rotate(state[d] ^ state[a], first);
        state[c] = (state[c] + state[d]) | 0;
        state[b] = rotate(state[b] ^ state[c], second);
      };
      mix(message[2 * i], 16, 12);
      mix(message[2 * i + 1], 8, 7);
    });
    message = PERMUTATION.map((from) => message[from]);
  }
  return state.slice(0, 8).map((word, i) => word ^ state[i + 8]);
}

function words(bytes) {
  const block = new Uint8Array(BLOCK_BYTES);
  block.set(bytes);
  const view = new DataView(block.buffer);
  return Array.from({ length: 16 }, (_, i) => view.getUint32(4 * i, true));
}

/* A node of the tree before it is known whether it is the root. */
function chunkNode(key, bytes, counter, flags) {
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK_BYTES));
  let chaining = key;
  for (let i = 0; ; i++) {
    const block = bytes.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES);
    const own = flags | (i === 0 ? CHUNK_START : 0) | (i === blocks - 1 ? CHUNK_END : 0);
    const last = [chaining, words(block), counter, block.length, own];
    if (i === blocks - 1) return last;
    chaining = compress(...last);
  }
}

function treeNode(key, bytes, counter, flags) {
  if (bytes.length <= CHUNK_BYTES) return chunkNode(key, bytes, counter, flags);
  let left = CHUNK_BYTES; // the largest power of two of chunks that leaves something on the right
  while (left * 2 < bytes.length) left *= 2;
  const children = [
    treeNode(key, bytes.subarray(0, left), counter, flags),
    treeNode(key, bytes.subarray(left), counter + left / CHUNK_BYTES, flags),
  ].flatMap((node) => compress(...node));
  return [key, children, 0, BLOCK_BYTES, flags | PARENT];
}

function root([chaining, block, , length, flags]) {
  return compress(chaining, block, 0, length, flags | ROOT);
}

const contextKeys = new Map();

function contextKey(context) {
  if (!contextKeys.has(context)) {
    const bytes = new TextEncoder().encode(context);
    contextKeys.set(context, root(treeNode(IV, bytes, 0, DERIVE_KEY_CONTEXT)));
  }
  return contextKeys.get(context);
}

/** Give the 32-byte digest of `bytes` (Uint8Array) in the context of `context` (text). */
export function deriveKey(context, bytes) {
  const out = new DataView(new ArrayBuffer(32));
  root(treeNode(contextKey(context), bytes, 0, DERIVE_KEY_MATERIAL)).forEach((word, i) =>
    out.setUint32(4 * i, word, true),
  );
  return new Uint8Array(out.buffer);
}

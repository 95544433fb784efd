/**
 * The blake3 hash of a text in hex, which is a freshql document's id. Synchronous and small: browsers have no blake3, and
 * a document of a few kilobytes takes microseconds. Follows the specification's reference: unkeyed, 256 bits.
 */

const IV = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];

const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;

const BLOCK_BYTES = 64;
const CHUNK_BYTES = 1024;

/** The id of a document: the blake3 hash of its exact UTF-8 bytes, as 64 lower-case hex digits. */
export function documentId(text: string): string {
  const words = tree(new TextEncoder().encode(text), 0, ROOT);
  let hex = "";
  for (const word of words) {
    for (let shift = 0; shift < 32; shift += 8) hex += ((word >>> shift) & 0xff).toString(16).padStart(2, "0");
  }
  return hex;
}

/** The chaining value of `bytes`, whose first chunk has this number. Only the root of the tree has the flag `ROOT`. */
function tree(bytes: Uint8Array, chunk: number, root: number): number[] {
  if (bytes.length <= CHUNK_BYTES) return leaf(bytes, chunk, root);
  // The left subtree is the largest complete one that leaves at least one byte for the right.
  let left = CHUNK_BYTES;
  while (left * 2 < bytes.length) left *= 2;
  const block = [...tree(bytes.subarray(0, left), chunk, 0), ...tree(bytes.subarray(left), chunk + left / CHUNK_BYTES, 0)];
  return compress(IV, block, 0, BLOCK_BYTES, PARENT | root);
}

function leaf(bytes: Uint8Array, chunk: number, root: number): number[] {
  let value = IV;
  let at = 0;
  do {
    const block = bytes.subarray(at, at + BLOCK_BYTES);
    const isLast = at + BLOCK_BYTES >= bytes.length;
    const flags = (at === 0 ? CHUNK_START : 0) | (isLast ? CHUNK_END | root : 0);
    value = compress(value, words(block), chunk, block.length, flags);
    at += BLOCK_BYTES;
  } while (at < bytes.length);
  return value;
}

/** Little-endian, padded with zeros. */
function words(block: Uint8Array): number[] {
  const words = new Array<number>(16).fill(0);
  block.forEach((byte, i) => (words[i >> 2]! |= byte << ((i & 3) * 8)));
  return words;
}

function compress(chaining: readonly number[], block: number[], counter: number, length: number, flags: number): number[] {
  const high = Math.floor(counter / 0x100000000);
  const state = new Int32Array([...chaining, ...IV.slice(0, 4), counter, high, length, flags]);
  let message = block;
  for (let round = 0; round < 7; round++) {
    if (round > 0) message = PERMUTATION.map((from) => message[from]!);
    for (let i = 0; i < 4; i++) mix(state, i, 4 + i, 8 + i, 12 + i, message[2 * i]!, message[2 * i + 1]!);
    for (let i = 0; i < 4; i++) {
      mix(state, i, 4 + ((i + 1) & 3), 8 + ((i + 2) & 3), 12 + ((i + 3) & 3), message[8 + 2 * i]!, message[9 + 2 * i]!);
    }
  }
  return Array.from({ length: 8 }, (_, i) => state[i]! ^ state[i + 8]!);
}

function mix(s: Int32Array, a: number, b: number, c: number, d: number, x: number, y: number): void {
  s[a] = s[a]! + s[b]! + x;
  s[d] = rotate(s[d]! ^ s[a]!, 16);
  s[c] = s[c]! + s[d]!;
  s[b] = rotate(s[b]! ^ s[c]!, 12);
  s[a] = s[a]! + s[b]! + y;
  s[d] = rotate(s[d]! ^ s[a]!, 8);
  s[c] = s[c]! + s[d]!;
  s[b] = rotate(s[b]! ^ s[c]!, 7);
}

function rotate(word: number, by: number): number {
  return (word >>> by) | (word << (32 - by));
}

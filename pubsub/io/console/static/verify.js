/* Checks the proof of one event in this browser, with the genesis file and nothing else.

   Follows docs/proofs.md step by step. Nothing that the gateway says beside the bundle is used. Each
   step is reported, so that a page can show what was checked; the first that fails ends the check. */

import { deriveKey } from "./blake3.js";
import { decode, encode, equal } from "./msgpack.js";

const text = (value) => new TextEncoder().encode(value);
const digest = (kind, bytes) => deriveKey(`concordat v1 ${kind}`, bytes);

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

const unhex = (digits) => {
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new Error("not hexadecimal");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
};

const join = (...parts) => {
  const out = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  parts.reduce((at, part) => (out.set(part, at), at + part.length), 0);
  return out;
};

function require(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

function array(value, length) {
  require(Array.isArray(value), "an array is missing");
  require(length === undefined || value.length === length, "an array has another length");
  return value;
}

function octets(value, length) {
  require(value instanceof Uint8Array, "bytes are missing");
  require(length === undefined || value.length === length, "bytes have another length");
  return value;
}

function integer(value) {
  require(typeof value === "bigint", "an integer is missing");
  return value;
}

const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

async function signed(key, domain, digestBytes, signature) {
  const message = join(text(`concordat/v1/${domain}\0`), digestBytes);
  const imported = await crypto.subtle.importKey("raw", octets(key, 32), "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", imported, octets(signature, 64), message);
}

/** Give the network of a genesis file (its parsed JSON): what a proof is checked against. */
export function network(document) {
  const form = [
    document.name,
    BigInt(document.time_ms),
    document.validators.map((v) => [v.name, v.did, unhex(v.key), unhex(v.peer_key), v.address]),
    document.participants.map((p) => [
      p.did, p.name, p.keys.map((k) => [unhex(k.key), k.revoked ?? false]), p.topics,
    ]),
    [BigInt(document.governors.threshold), document.governors.members],
  ];
  const hash = digest("genesis", encode(form));
  return {
    hash,
    chainId: `${document.name}-${hex(hash.subarray(0, 8))}`,
    validators: form[2].map((v) => ({ name: v[0], key: v[2] })),
  };
}

/** Check `bundle` (Uint8Array). Calls `report(step)` after each step that holds.
 *
 * Gives { event, id, sequence, path, root, timeMs, signers }; throws Error with the reason.
 */
export async function verify(bundle, trusted, report = () => {}) {
  const parts = array(decode(bundle), 8);
  require(integer(parts[0]) === 1n, "another format");
  const [, entry, sequence, path, root, header, certificate, ends] = parts;
  const found = await checkEntry(octets(entry), trusted, report);
  const [height, size, logRoot] = array(root, 5);
  const nodes = await climb(octets(entry), integer(sequence), integer(size), array(path));
  require(equal(nodes.at(-1).hash, octets(logRoot, 32)), "the path leads to another root");
  report({ name: "included", detail: `leaf ${sequence} of a log of ${size} events` });
  const fields = array(header, 12);
  require(
    equal(octets(fields[5], 32), digest("ledger root", encode(root))),
    "the block names another ledger",
  );
  require(integer(fields[4]) === integer(height), "the block names another height");
  report({ name: "in the block", detail: `block ${fields[2]} carries the ledger after block ${height}` });
  const validators = await followEpochs(array(ends), trusted);
  const signers = await checkCertificate(certificate, fields, trusted, validators, ends.length);
  report({
    name: "agreed",
    detail: `${signers.length} of ${validators.length} validators of epoch ${ends.length} signed`,
  });
  return { ...found, sequence, path: nodes, root, timeMs: Number(fields[10]), signers, validators };
}

async function checkEntry(entry, trusted, report) {
  const [event, signature] = array(decode(entry), 2);
  const fields = array(event, 15);
  require(integer(fields[0]) === 1n, "another format of event");
  require(fields[1] === trusted.chainId, "an event of another network");
  const id = digest("event", entry.subarray(1, entry.length - 66));
  require(await signed(fields[4], "event", id, signature), "the publisher's signature does not hold");
  report({ name: "signed", detail: `by ${fields[3]} with key ${hex(fields[4]).slice(0, 16)}…` });
  return { event: fields, id };
}

/** Follow an inclusion path (RFC 9162, 2.1.3.2); give each node on the way with its sibling. */
async function climb(entry, index, size, path) {
  require(index < size, "no such leaf");
  let node = index, last = size - 1n;
  let hash = await sha256(join(Uint8Array.of(0), entry));
  const nodes = [{ hash, sibling: null, isLeft: false }];
  for (const item of path) {
    const sibling = octets(item, 32);
    require(last > 0n, "the path is too long");
    const isLeft = node % 2n === 1n || node === last;
    hash = await sha256(join(Uint8Array.of(1), ...(isLeft ? [sibling, hash] : [hash, sibling])));
    while (isLeft && node % 2n === 0n && node !== 0n) { node /= 2n; last /= 2n; }
    node /= 2n;
    last /= 2n;
    nodes.push({ hash, sibling, isLeft });
  }
  require(last === 0n, "the path is too short");
  return nodes;
}

async function followEpochs(ends, trusted) {
  require(ends.length <= 1024, "too many epochs");
  let validators = trusted.validators;
  for (const [number, end] of ends.entries()) {
    const [certificate, members] = array(end, 2);
    const commit = array(array(certificate, 5)[3], 3);
    await checkSignatures(certificate, trusted, validators, number);
    require(
      commit[2] !== null && equal(octets(commit[2], 32), digest("validator set", encode(members))),
      "an epoch ends with other validators",
    );
    validators = array(members).map((member) => ({ name: array(member, 5)[0], key: octets(member[2], 32) }));
    const keys = members.flatMap((member) => [hex(member[2]), hex(octets(member[3], 32))]);
    require(validators.length > 0 && validators.length <= 100, "a set of no or too many validators");
    require(new Set(keys).size === keys.length, "two validators have one key");
  }
  return validators;
}

async function checkCertificate(certificate, header, trusted, validators, epoch) {
  const commit = array(array(certificate, 5)[3], 3);
  require(equal(octets(commit[0], 32), digest("block", encode(header))), "the certificate is of another block");
  require(integer(commit[1]) === integer(header[2]), "the certificate is of another height");
  return checkSignatures(certificate, trusted, validators, epoch);
}

async function checkSignatures(certificate, trusted, validators, epoch) {
  const [number, round, block, commit, signatures] = array(certificate, 5);
  require(integer(number) === BigInt(epoch), "the certificate is of another epoch");
  const vote = digest("vote", encode([trusted.hash, number, integer(round), octets(block, 32), commit]));
  const faulty = Math.floor((validators.length - 1) / 3);
  require(2 * array(signatures).length > validators.length + faulty, "too few signatures");
  let before = -1n;
  for (const [index, signature] of signatures.map((pair) => array(pair, 2))) {
    require(integer(index) > before && index < BigInt(validators.length), "a signer is no validator");
    before = index;
    require(
      await signed(validators[Number(index)].key, "vote", vote, signature),
      `the signature of ${validators[Number(index)].name} does not hold`,
    );
  }
  return signatures.map(([index]) => validators[Number(index)].name);
}

import assert from "node:assert/strict"
import { existsSync, readFileSync } from "node:fs"
import { test } from "node:test"
import fc from "fast-check"
import {
  consistencyNodes,
  consistencyProof,
  emptyRoot,
  GrowingTree,
  type Hash,
  hashLeaf,
  inclusionNodes,
  inclusionProof,
  type NodeId,
  type NodeReader,
  rootNodes,
  TlogError,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "@weighlock/tlog"
import { naiveConsistency, naiveInclusion, naiveLeaf, naiveRoot } from "./naive-tree.ts"

const most = 300
const leaves = Array.from({ length: most }, (_, at) => hashLeaf(new TextEncoder().encode(`entry ${at}`)))
const nodes = new Map<string, Hash>()
const roots: Hash[] = []
const grown = new GrowingTree()
for (const leaf of leaves) {
  roots.push(grown.root())
  grown.append(leaf, (level, index, hash) => nodes.set(`${level} ${index}`, hash))
}
roots.push(grown.root())

const read: NodeReader = (level, index) => {
  const node = nodes.get(`${level} ${index}`)
  assert(node !== undefined, `node (${level}, ${index}) does not exist`)
  return node
}

function reading(seen: NodeId[]): NodeReader {
  return (level, index) => {
    seen.push({ level, index })
    return read(level, index)
  }
}

function code(run: () => void): string {
  try {
    run()
  } catch (error) {
    assert(error instanceof TlogError, String(error))
    return error.code
  }
  return "accepted"
}

/** Every way to break a list of hashes by one step: a bit, one more, one less, two swapped. */
function* manglings(proof: readonly Hash[]): Generator<Hash[]> {
  for (const at of proof.keys()) {
    for (const bit of [0, 100, 255]) {
      const flipped = Uint8Array.from(proof[at]!)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      yield proof.with(at, flipped)
    }
    yield proof.with(at, proof[at]!.subarray(1))
    yield proof.with(at, Uint8Array.of(...proof[at]!, 0))
    yield proof.toSpliced(at, 1)
    yield proof.toSpliced(at, 0, proof[at]!)
    if (at > 0) yield proof.with(at, proof[at - 1]!).with(at - 1, proof[at]!)
  }
  yield [...proof, emptyRoot()]
  yield [new Uint8Array(0), ...proof]
}

test("leaves, nodes and roots are those of RFC 6962", () => {
  assert.deepEqual(leaves[7], naiveLeaf(new TextEncoder().encode("entry 7")))
  for (let size = 0; size <= most; size++) {
    assert.deepEqual(roots[size], naiveRoot(leaves.slice(0, size)))
    assert.deepEqual(treeRoot(size, read), roots[size])
  }
})

test("every inclusion proof of every size to 130 is the RFC's and verifies, and no other index or size does", () => {
  for (let size = 1; size <= 130; size++) {
    for (let index = 0; index < size; index++) {
      const seen: NodeId[] = []
      const proof = inclusionProof(index, size, reading(seen))
      assert.deepEqual(seen, inclusionNodes(index, size))
      if (size <= 70) assert.deepEqual(proof, naiveInclusion(index, leaves.slice(0, size)))
      const inclusion = { leaf: leaves[index]!, index, size, root: roots[size]!, proof }
      verifyInclusion(inclusion)
      const other = index === 0 ? size - 1 : index - 1
      if (other !== index)
        assert.equal(
          code(() => verifyInclusion({ ...inclusion, index: other })),
          "PROOF_INVALID",
        )
    }
  }
})

test("every consistency proof of every two sizes to 130 is the RFC's and verifies", () => {
  for (let to = 0; to <= 130; to++) {
    for (let from = 0; from <= to; from++) {
      const seen: NodeId[] = []
      const proof = consistencyProof(from, to, reading(seen))
      assert.deepEqual(seen, consistencyNodes(from, to))
      if (to <= 70) assert.deepEqual(proof, naiveConsistency(from, leaves.slice(0, to)))
      verifyConsistency({ from: { size: from, root: roots[from]! }, to: { size: to, root: roots[to]! }, proof })
    }
  }
})

test("every mangled inclusion proof is refused", () => {
  for (const [index, size] of [
    [0, 1],
    [0, 2],
    [1, 2],
    [5, 7],
    [6, 7],
    [0, 64],
    [63, 64],
    [64, 65],
    [129, 130],
    [100, 257],
  ] as const) {
    const inclusion = {
      leaf: leaves[index]!,
      index,
      size,
      root: roots[size]!,
      proof: inclusionProof(index, size, read),
    }
    for (const proof of manglings(inclusion.proof)) {
      assert.equal(
        code(() => verifyInclusion({ ...inclusion, proof })),
        "PROOF_INVALID",
      )
    }
    for (const [leaf] of manglings([inclusion.leaf])) {
      if (leaf === undefined || leaf === inclusion.leaf) continue
      assert.equal(
        code(() => verifyInclusion({ ...inclusion, leaf })),
        "PROOF_INVALID",
      )
      assert.equal(
        code(() => verifyInclusion({ ...inclusion, root: leaf })),
        "PROOF_INVALID",
      )
    }
    assert.equal(
      code(() => verifyInclusion({ ...inclusion, index: size })),
      "PROOF_INVALID",
    )
    assert.equal(
      code(() => verifyInclusion({ ...inclusion, size: 0 })),
      "PROOF_INVALID",
    )
    assert.equal(
      code(() => verifyInclusion({ ...inclusion, index: -1 })),
      "MALFORMED",
    )
    assert.equal(
      code(() => verifyInclusion({ ...inclusion, index: 0.5 })),
      "MALFORMED",
    )
    assert.equal(
      code(() => verifyInclusion({ ...inclusion, size: Number.NaN })),
      "MALFORMED",
    )
  }
})

test("every mangled consistency proof is refused", () => {
  for (const [from, to] of [
    [0, 1],
    [1, 2],
    [3, 7],
    [4, 7],
    [6, 7],
    [7, 7],
    [64, 65],
    [63, 130],
    [128, 130],
    [100, 257],
  ] as const) {
    const before = { size: from, root: roots[from]! }
    const after = { size: to, root: roots[to]! }
    const proof = consistencyProof(from, to, read)
    for (const bad of manglings(proof)) {
      assert.equal(
        code(() => verifyConsistency({ from: before, to: after, proof: bad })),
        "INCONSISTENT",
      )
    }
    for (const [root] of manglings([leaves[9]!])) {
      if (root === undefined) continue
      assert.equal(
        code(() => verifyConsistency({ from: { size: from, root }, to: after, proof })),
        "INCONSISTENT",
      )
      // From size 0 any later root is consistent.
      const verdict = code(() => verifyConsistency({ from: before, to: { size: to, root }, proof }))
      assert.equal(verdict, from === 0 && root.length === 32 ? "accepted" : "INCONSISTENT")
    }
    if (from < to)
      assert.equal(
        code(() => verifyConsistency({ from: after, to: before, proof })),
        "SHRUNK",
      )
  }
})

test("the empty tree has one root, on both sides", () => {
  const empty = { size: 0, root: emptyRoot() }
  assert.equal(
    code(() => verifyConsistency({ from: empty, to: empty, proof: [] })),
    "accepted",
  )
  assert.equal(
    code(() => verifyConsistency({ from: empty, to: { size: 0, root: leaves[0]! }, proof: [] })),
    "INCONSISTENT",
  )
  assert.equal(
    code(() => verifyConsistency({ from: { size: 0, root: leaves[0]! }, to: empty, proof: [] })),
    "INCONSISTENT",
  )
})

test("random trees: what is made verifies, for other leaves it does not", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: most }), fc.nat(), fc.nat(), (size, some, other) => {
      const index = some % size
      const root = roots[size]!
      const proof = inclusionProof(index, size, read)
      verifyInclusion({ leaf: leaves[index]!, index, size, root, proof })
      const wrong = { leaf: leaves[other % most]!, index: other % most, size, root, proof }
      if (other % most !== index)
        assert.equal(
          code(() => verifyInclusion(wrong)),
          "PROOF_INVALID",
        )
      const from = other % (size + 1)
      const consistency = consistencyProof(from, size, read)
      verifyConsistency({ from: { size: from, root: roots[from]! }, to: { size, root }, proof: consistency })
      const forked = { size: from, root: roots[from === 0 ? 1 : from - 1]! }
      assert.equal(
        code(() => verifyConsistency({ from: forked, to: { size, root }, proof: consistency })),
        "INCONSISTENT",
      )
    }),
    { numRuns: 500 },
  )
})

test("a growing tree taken up from its peaks grows the same tree", () => {
  for (const size of [0, 1, 2, 3, 127, 128, 129, 255]) {
    const tree = new GrowingTree(
      size,
      rootNodes(size).map(({ level, index }) => read(level, index)),
    )
    const copy = tree.copy()
    for (let at = size; at < most; at++) tree.append(leaves[at]!)
    assert.deepEqual([tree.size, tree.root(), tree.peaks()], [most, grown.root(), grown.peaks()])
    assert.deepEqual([copy.size, copy.root()], [size, roots[size]])
  }
  assert.equal(
    code(() => new GrowingTree(3, [leaves[0]!])),
    "MALFORMED",
  )
  assert.equal(
    code(() => new GrowingTree(1, [new Uint8Array(31)])),
    "MALFORMED",
  )
  assert.equal(
    code(() => new GrowingTree().append(new Uint8Array(33))),
    "MALFORMED",
  )
})

test("sizes up to 2^53 - 1 are exact, beyond they are refused", () => {
  const huge = Number.MAX_SAFE_INTEGER
  assert.equal(rootNodes(huge).length, 53)
  assert.equal(rootNodes(2 ** 52).length, 1)
  const around = [31, 32, 33, 49].flatMap((level) => [2 ** level - 1, 2 ** level, 2 ** level + 1])
  for (const size of [...around, huge]) {
    const all = rootNodes(size)
    assert.equal(
      all.reduce((sum, { level }) => sum + 2 ** level, 0),
      size,
    )
    for (const [at, { level, index }] of all.entries()) {
      assert.equal(
        index * 2 ** level,
        all.slice(0, at).reduce((sum, node) => sum + 2 ** node.level, 0),
      )
    }
  }
  const constant = (): Hash => leaves[0]!
  for (const index of [0, 2 ** 52, huge - 1]) {
    const proof = inclusionProof(index, huge, constant)
    assert(proof.length >= 52 && proof.length <= 53)
    assert.equal(
      code(() => verifyInclusion({ leaf: leaves[0]!, index, size: huge, root: leaves[0]!, proof })),
      "PROOF_INVALID",
    )
  }
  const seen: NodeId[] = []
  consistencyProof(2 ** 52 + 1, huge, (level, index) => {
    seen.push({ level, index })
    return leaves[0]!
  })
  assert.deepEqual(seen, consistencyNodes(2 ** 52 + 1, huge))
  const full = new GrowingTree(huge, rootNodes(huge).map(constant))
  for (const run of [
    () => rootNodes(2 ** 53),
    () => treeRoot(2 ** 53, read),
    () => inclusionNodes(1, 2 ** 53),
    () => inclusionProof(2 ** 53, 2 ** 60, read),
    () => consistencyNodes(1, 2 ** 64),
    () => consistencyProof(2 ** 53, 2 ** 54, read),
    () => verifyInclusion({ leaf: leaves[0]!, index: 1, size: Infinity, root: leaves[0]!, proof: [] }),
    () =>
      verifyConsistency({
        from: { size: 2 ** 53, root: leaves[0]! },
        to: { size: 2 ** 53, root: leaves[0]! },
        proof: [],
      }),
    () => new GrowingTree(2 ** 53),
    () => full.append(leaves[0]!),
  ]) {
    assert.equal(code(run), "UNSUPPORTED")
  }
})

const vectors = new URL("../../../shared/vectors/", import.meta.url)

interface Probe {
  readonly desc: string
  readonly file: string
  readonly proof: readonly string[] | null
  readonly wantErr: boolean
}
interface InclusionProbe extends Probe {
  readonly leafIdx: number
  readonly treeSize: number
  readonly root: string
  readonly leafHash: string
}
interface ConsistencyProbe extends Probe {
  readonly size1: number
  readonly size2: number
  readonly root1: string
  readonly root2: string
}

function probes(name: string): Probe[] | null {
  const file = new URL(name, vectors)
  if (!existsSync(file)) return null
  return (JSON.parse(readFileSync(file, "utf8")) as { probes: Probe[] }).probes
}

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"))

test("the inclusion proofs of others", (t) => {
  const all = probes("merkle-inclusion.json") as InclusionProbe[] | null
  if (all === null) return t.diagnostic("not checked: no vectors")
  assert(all.length >= 98)
  for (const { leafIdx, treeSize, root, leafHash, proof, wantErr, file } of all) {
    const inclusion = {
      leaf: bytes(leafHash),
      index: leafIdx,
      size: treeSize,
      root: bytes(root),
      proof: (proof ?? []).map(bytes),
    }
    const verdict = code(() => verifyInclusion(inclusion))
    assert.equal(verdict === "accepted", !wantErr, `${file}: ${verdict}`)
  }
})

test("the consistency proofs of others", (t) => {
  const all = probes("merkle-consistency.json") as ConsistencyProbe[] | null
  if (all === null) return t.diagnostic("not checked: no vectors")
  assert(all.length >= 98)
  for (const { size1, size2, root1, root2, proof, wantErr, file } of all) {
    const from = { size: size1, root: bytes(root1) }
    const to = { size: size2, root: bytes(root2) }
    const verdict = code(() => verifyConsistency({ from, to, proof: (proof ?? []).map(bytes) }))
    // Stricter than they: a root has 32 bytes, also where theirs only compares two.
    const strict = from.root.length !== 32 || to.root.length !== 32
    assert.equal(verdict === "accepted", !wantErr && !strict, `${file}: ${verdict}`)
  }
})

/** The part of node:crypto that is used where it exists, found without an import: the same file runs in a browser. */
export interface NodeCrypto {
  /** One-shot; in "latin1" a byte is a character. */
  readonly hash?: (algorithm: string, data: Uint8Array, encoding: "latin1") => string
  createPublicKey(key: { key: Uint8Array; format: "der"; type: "spki" }): object
  verify(algorithm: string | null, data: Uint8Array, key: object, signature: Uint8Array): boolean
}
interface MaybeNode {
  readonly process?: { readonly getBuiltinModule?: (id: string) => unknown }
}

export const nodeCrypto: NodeCrypto | null =
  ((globalThis as MaybeNode).process?.getBuiltinModule?.("node:crypto") as NodeCrypto | undefined) ?? null

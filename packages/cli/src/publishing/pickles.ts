/**
 * Files that run code of whoever made them when Python loads them: pickles, by name or by how they begin.
 *
 *     80 04 95 …                    a pickle of protocol 2 or later
 *     PK… archive/data.pkl          what torch.save writes
 */
const byName = /\.(?:pkl|pickle|pt|pth|ckpt|joblib|dill)$|(?:^|\/)pytorch_model(?:-\d+-of-\d+)?\.bin$/i
const anyArray = /'descr': *'\|O/ // NumPy keeps arrays of objects as pickles

/** `head` is how the file begins, at least 512 bytes of it if there are so many. */
export function isPickle(name: string, head: Buffer): boolean {
  if (byName.test(name)) return true
  const [first = 0, protocol = 0] = head
  if (first === 0x80 && protocol >= 2 && protocol <= 5) return isOpcode(head)
  if (head.toString("latin1", 0, 4) === "PK\u0003\u0004") return head.subarray(30, 512).includes("data.pkl")
  return head.toString("latin1", 1, 6) === "NUMPY" && anyArray.test(head.toString("latin1", 0, 512))
}

// After the protocol comes a frame (0x95) or an opcode of those that begin an object.
function isOpcode(head: Buffer): boolean {
  const [, , opcode = 0] = head
  return opcode === 0x95 || "}](cNKJGX\u008a\u008c)".includes(String.fromCharCode(opcode))
}

/** Where a dataset's bytes lie (HDF5 File Format Specification 3.0, IV.A.2.i): in this file, in one piece, as they are. */
import { refused } from "../../errors.ts"
import { type FileBytes, nowhere } from "./bytes.ts"
import { type Datatype, readDataspace, readDatatype } from "./datatype.ts"
import type { Message } from "./object-header.ts"

export interface Dataset {
  readonly type: Datatype
  readonly shape: readonly number[]
  readonly elements: number
  /** A view of the file. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

const [dataspace, datatype, external, layout, filters] = [0x01, 0x03, 0x07, 0x08, 0x0b]
const again = { hint: "save the model again with Keras, without compression" }

/** `where`: its path, for people. Throws MODEL_REFUSED. */
export function readDataset(file: FileBytes, messages: readonly Message[], where: string): Dataset {
  const find = (wanted: number): Message | undefined => messages.find(({ type }) => type === wanted)
  if (find(external)) throw refused(`${where} lies in another file (external storage), which is never read`)
  const compression = find(filters)
  if (compression && file.u8(compression.start + 1) > 0) throw refused(`${where} is filtered or compressed`, again)
  const [space, type, place] = [find(dataspace), find(datatype), find(layout)]
  if (!space || !type || !place) throw refused(`${where} is neither a group nor a dataset`)
  const { shape, elements } = readDataspace(file, space.start, space.end)
  const read = readDatatype(file, type.start, type.end)
  const bytes = readLayout(file, place, elements * read.size, where)
  return { type: read, shape, elements, bytes }
}

function readLayout(file: FileBytes, { start, end }: Message, wanted: number, where: string): Uint8Array<ArrayBuffer> {
  const [version, kind] = [file.u8(start), file.u8(start + 1)]
  if (version !== 3 && version !== 4) throw refused(`${where} has a layout of version ${version}`, again)
  if (kind === 2) throw refused(`${where} is stored in chunks`, again)
  if (kind === 3) throw refused(`${where} is put together from other datasets (virtual), which are never read`)
  const [at, length] = kind === 0 ? [start + 4, file.u16(start + 2)] : [file.address(start + 2), file.u64(start + 10)]
  if (kind > 1 || (kind === 0 && at + length > end)) throw refused(`${where} has a layout of kind ${kind}`)
  if (wanted === 0) return new Uint8Array(0)
  if (at === nowhere || length !== wanted)
    throw refused(`${where} needs ${wanted} bytes by its shape, and has ${at === nowhere ? 0 : length}`)
  return file.range(at, length)
}

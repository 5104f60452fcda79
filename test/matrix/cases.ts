/**
 * All cases of the matrix, from their ids alone.
 *
 *     node test/matrix/cases.ts --write cases.json      # what make-answers.py reads
 */
import { writeFileSync } from "node:fs"
import { type Family, makeCase, type MatrixCase } from "./case.ts"
import { activationFamilies } from "./cases/activation.ts"
import { containerFamilies } from "./cases/container.ts"
import { convolutionFamilies } from "./cases/convolution.ts"
import { longSumFamilies } from "./cases/long-sums.ts"
import { mergeFamilies } from "./cases/merge.ts"
import { normalizationFamilies } from "./cases/normalization.ts"
import { poolingFamilies } from "./cases/pooling.ts"
import { preprocessingFamilies } from "./cases/preprocessing.ts"
import { recurrentFamilies } from "./cases/recurrent.ts"
import { sequenceFamilies } from "./cases/sequence.ts"
import { shapeFamilies } from "./cases/shape.ts"

export const families: readonly Family[] = [
  ...convolutionFamilies,
  ...poolingFamilies,
  ...activationFamilies,
  ...recurrentFamilies,
  ...mergeFamilies,
  ...shapeFamilies,
  ...normalizationFamilies,
  ...sequenceFamilies,
  ...preprocessingFamilies,
  ...containerFamilies,
  ...longSumFamilies,
]

export function allCases(): MatrixCase[] {
  return families.flatMap((family) => [...casesOf(family)])
}

/** `count` cases; ids whose choice of settings is no model are left out. */
function* casesOf(family: Family): Generator<MatrixCase> {
  for (let index = 0, made = 0; made < family.count; index++) {
    if (index > family.count * 20) throw new Error(`${family.layer}: too few choices are a model`)
    const found = makeCase(`${family.layer}/${index}`, family)
    if (found === null) continue
    made++
    yield found
  }
}

if (process.argv[2] === "--write" && process.argv[3] !== undefined) {
  writeFileSync(process.argv[3], JSON.stringify(allCases()))
}

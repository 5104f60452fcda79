/** The two files of a golden example, as they stand in a manifest. */
export const inputName = "golden/input.json"
export const outputName = "golden/output.json"
export const goldenNames: ReadonlySet<string> = new Set([inputName, outputName])

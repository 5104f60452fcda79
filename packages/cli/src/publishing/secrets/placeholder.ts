/** What documentation writes where a secret would be: `hf_xxxxxxxx`, `AKIAIOSFODNN7EXAMPLE`, `<your token>`. */
const words =
  /x{6}|\*{3}|\.{3}|example|your.?(?:own|token|key|secret|api|private)|placeholder|redacted|changeme|^(?:undefined|null|none|true|false)\b/i

export function isPlaceholder(value: string): boolean {
  return words.test(value) || new Set(value).size < 3
}

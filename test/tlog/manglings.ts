/** What a text becomes when one thing goes wrong with it: cut short, a character changed, dropped, or put in. */
const strangers = [
  "A",
  "B",
  "0",
  "9",
  " ",
  "\n",
  "\r",
  "\t",
  "\0",
  "+",
  "=",
  "—",
  "\u00a0",
  "\u0085",
  "\ufeff",
  "\ud800",
]

export function* manglings(text: string): Generator<string> {
  for (let at = 0; at < text.length; at++) {
    yield text.slice(0, at)
    yield text.slice(0, at) + text.slice(at + 1)
    for (const stranger of strangers) {
      if (stranger !== text[at]) yield text.slice(0, at) + stranger + text.slice(at + 1)
      if (stranger !== text[at]) yield text.slice(0, at) + stranger + text.slice(at)
    }
    yield text.slice(0, at) + (text[at] ?? "").toUpperCase() + text.slice(at + 1)
    yield text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1)
  }
  for (const stranger of strangers) yield text + stranger
  yield `${text}${text}`
}

/** Every one of them that differs from `text`. */
export function mangled(text: string): string[] {
  return [...new Set(manglings(text))].filter((each) => each !== text)
}

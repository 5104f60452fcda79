/** How the story looks: headings, a digit in half blocks, ten probabilities as bars. */
const styled = process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === ""
const paint = (code: string, text: string): string => (styled ? `\u001b[${code}m${text}\u001b[0m` : text)

export const bold = (text: string): string => paint("1", text)
export const dim = (text: string): string => paint("2", text)
export const green = (text: string): string => paint("32", text)
export const red = (text: string): string => paint("31", text)

export function say(text = ""): void {
  process.stdout.write(`${text}\n`)
}

let act = 0
export function heading(text: string): void {
  say(`\n${bold(`${++act}. ${text}`)}`)
}

/** A line that is drawn over while it changes; only on a terminal. */
export function status(text: string): void {
  if (process.stdout.isTTY === true) process.stdout.write(`\r\u001b[K  ${text}`)
}

export function clearStatus(): void {
  if (process.stdout.isTTY === true) process.stdout.write("\r\u001b[K")
}

/** Two rows of pixels in one line of text; ink above 0.4 counts. Beside it the probabilities. */
export function drawAnswer(image: readonly (readonly number[])[], prob: readonly number[]): void {
  const top = Math.max(...prob)
  const bars = prob.map((share, digit) => {
    const line = `${digit} ${"█".repeat(Math.round(share * 30)).padEnd(30, "·")} ${(share * 100).toFixed(1).padStart(5)} %`
    return share === top ? green(line) : line
  })
  for (let row = 0; row < 28; row += 2) {
    const ink = (image[row] ?? [])
      .map((upper, column) => half(upper > 0.4, (image[row + 1]?.[column] ?? 0) > 0.4))
      .join("")
    say(`   │${ink}│   ${bars[row / 2 - 2] ?? ""}`)
  }
}

function half(upper: boolean, lower: boolean): string {
  if (upper) return lower ? "█" : "▀"
  return lower ? "▄" : " "
}

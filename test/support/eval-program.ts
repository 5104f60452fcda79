/** Programs as a shell gives them to node: text, not a file. Their flags must not reach the threads that we start. */
export const evalWays: Readonly<Record<string, (body: string) => string[]>> = {
  "node -e": (body) => ["-e", `void (async () => {\n${body}\n})()`],
  "node --input-type=module -e": (body) => ["--input-type=module", "-e", body],
  "node --trace-warnings --stack-size=900 -e": (body) => [
    "--trace-warnings",
    "--stack-size=900",
    "-e",
    `void (async () => {\n${body}\n})()`,
  ],
}

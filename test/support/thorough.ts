/**
 * Some tests go over all there is of a kind: every bit of a file, every character there is, a gigabyte. `pnpm test` takes a
 * share of that, evenly spread; `pnpm test:thorough` runs the files that import this one with all of it.
 */
export const isThorough: boolean = process.env["WEIGHLOCK_THOROUGH"] === "1"

/** How far to go from one to the next: to the next of all in the thorough form. Odd shares meet every bit of a byte. */
export function every(share: number): number {
  return isThorough ? 1 : share
}

/** How many of `all` to try, at least one. */
export function some(all: number, share: number): number {
  return isThorough ? all : Math.max(1, Math.ceil(all / share))
}

/** Every `share`th case of a table, the first among them. */
export function sample<T>(cases: readonly T[], share: number): T[] {
  return cases.filter((_, at) => at % every(share) === 0)
}

/** For what is worth nothing in part. */
export const onlyThorough: string | false = !isThorough && "only in the thorough form: pnpm test:thorough"

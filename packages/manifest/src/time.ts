/** Times are `YYYY-MM-DDTHH:MM:SSZ`: UTC, whole seconds, one spelling. */
import { invalid } from "./errors.ts"

export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`
}

/** Refuses a text that is not the one spelling of an existing moment. */
export function parseTime(text: string, what: string): Date {
  // The engine reads many other forms, at length: the form is judged first.
  const time = new Date(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? text : Number.NaN)
  if (Number.isNaN(time.getTime()) || formatTime(time) !== text) {
    throw invalid(`${what} is not a time of the form YYYY-MM-DDTHH:MM:SSZ: ${JSON.stringify(text)}`)
  }
  return time
}

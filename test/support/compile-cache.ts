/** For children that get an environment of their own: what Node has compiled is kept for them too, a third of a command's time. */
const folder = process.env["NODE_COMPILE_CACHE"]

export const compiled: Readonly<Record<string, string>> = folder === undefined ? {} : { NODE_COMPILE_CACHE: folder }

// The Node packages name their platform as a string ("os": "win32"); pnpm reads only lists,
// and without this would download Node for every platform.
const list = (value) => (typeof value === "string" ? [value] : value)

module.exports = {
  hooks: {
    readPackage(pkg) {
      if (/^node-(linux|win|darwin|bin-darwin)-/.test(pkg.name ?? "")) {
        pkg.os = list(pkg.os)
        pkg.cpu = list(pkg.cpu)
      }
      return pkg
    },
  },
}

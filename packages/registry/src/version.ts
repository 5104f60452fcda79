/** What the registry calls itself. A test holds `productVersion` equal to package.json. */
export const productName = "weighlock-registry"
export const productVersion = "0.1.0"

/** The whole differential matrix on `wasm`, against real Keras and against `js`. */
import { testFullMatrix } from "../matrix/full.ts"

testFullMatrix("wasm", 0.75)

/** The whole differential matrix on `js`, against real Keras. */
import { testFullMatrix } from "../matrix/full.ts"

testFullMatrix("js", 0.8)

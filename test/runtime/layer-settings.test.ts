/** What tfjs-layers would compute otherwise than Keras is refused before anything is built; test/matrix shows why. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { JsonValue } from "@weighlock/manifest"
import { layerSettings, unusableLayers } from "@weighlock/runtime/src/formats/layer-settings.ts"
import { openTopology } from "@weighlock/runtime/src/formats/topology.ts"

function open(className: string, config: Record<string, JsonValue>): void {
  const layer = { class_name: className, config: { name: "x", ...config } }
  const masking = { class_name: "Masking", config: { name: "masked" } } // some settings say nothing without a mask
  openTopology({ class_name: "Sequential", config: { name: "m", layers: [masking, layer] } })
}

/** Setting, a value that is computed otherwise, values that are right. */
const settings: readonly [setting: string, refused: JsonValue, ...right: JsonValue[]][] = [
  ["alpha", 0.5, 1, null],
  ["axis", -2, -1, 3],
  ["backward_layer", {}, null],
  ["data_format", "channels_first", "channels_last", null],
  ["dilation_rate", [1, 2], 1, [1, 1, 1], null],
  ["groups", 2, 1, null],
  ["interpolation", "bilinear", "nearest", null],
  ["keepdims", true, false, null],
  ["negative_slope", 0.125, null],
  ["output_padding", [1, 1], null],
  ["padding", "causal", "valid", "same"],
  ["ragged", true, false, null],
  ["renorm", true, false, null],
  ["reset_after", true, false, null],
  ["rms_scaling", true, false, null],
  ["sparse", true, false, null],
  ["threshold", 0.5, 0, null],
  ["time_major", true, false, null],
  ["zero_output_for_mask", true, false, null],
]

for (const [className, ofClass] of Object.entries(layerSettings)) {
  for (const setting of Object.keys(ofClass)) {
    test(`${className}: ${setting}`, () => {
      const [, refused, ...right] = settings.find(([name]) => name === setting) ?? assert.fail("not in the table")
      assert.throws(() => open(className, { [setting]: refused }), { code: "MODEL_REFUSED", message: /layer x/ })
      for (const value of right) open(className, { [setting]: value })
      open(className, {})
    })
  }
}

for (const className of unusableLayers) {
  test(`${className} is refused in our own words`, () => {
    assert.throws(() => open(className, {}), { code: "MODEL_REFUSED", message: /layer x \(.*cannot run/ })
  })
}

test("inside a wrapper too", () => {
  const relu = { class_name: "ReLU", config: { name: "inner", threshold: 1 } }
  assert.throws(() => open("TimeDistributed", { layer: relu }), { code: "MODEL_REFUSED", message: /layer inner/ })
})

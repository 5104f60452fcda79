/** An ONNX file of one operator, y = x times its transpose, for a row of three: made with `onnx.helper`. */
export const probeModel: Uint8Array = Uint8Array.from(
  atob(
    "CAg6UQoeCgF4CgF4EgF5IgRHZW1tKg0KBnRyYW5zQhgBoAECEgVwcm9iZVoTCgF4Eg4KDAgBEggKAggBCgIIA2ITCgF5Eg4KDAgBEggKAggBCgIIAUIECgAQEQ==",
  ),
  (letter) => letter.charCodeAt(0),
)

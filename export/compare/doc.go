// Package compare compares files with what export writes from the checkpoint,
// without running anything.
//
// [Models] compares two ONNX models: initializers bit by bit, and graphs value
// by value, independent of names and of the order of nodes and initializers. A
// part that an optimizer rewrote cannot be compared; it is counted and is not
// a departure. [JSON] compares two JSON documents field by field.
package compare

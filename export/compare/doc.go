// Package compare compares what lies in a file or a folder with what export
// writes from the checkpoint, without running anything.
//
// [Models] compares two ONNX models: initializers bit by bit, and the graphs
// value by value, whatever their values, nodes and initializers are called and
// in whichever order they lie. A part that an optimizer rewrote cannot be
// compared; it is counted and not taken for a departure. [JSON] compares two
// JSON documents field by field.
package compare

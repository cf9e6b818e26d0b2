// Package cut takes parts out of an ONNX model: the nodes between given values, as
// a model of their own. What the nodes read becomes an input, so that a part can be
// run on known values, apart from everything before it.
package cut

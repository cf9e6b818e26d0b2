// Package branch joins two ONNX models into one that computes the one or the other,
// as an input says, and takes such a model apart again. Optimum and transformers.js
// call the decoder of a network that translates "merged" if it has this form: one
// branch begins a text, the other continues it. The branches share the weights, which
// belong to the graph around them.
package branch

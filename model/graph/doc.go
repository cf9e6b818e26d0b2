// Package graph is a model as data: a small typed graph in ONNX's own
// vocabulary, with symbolic dimensions. It is written by a [Builder], read by
// everything else (the trainers, the exporter, the oracle), and changed only
// by passes, which return a new graph.
//
// What is true of every graph that [Verify] accepts:
//
//   - A [Value] is defined once and used any number of times.
//   - Values stand in topological order: an argument comes before its user.
//   - Names are unique, stable and readable ("h.0.attn.scores"); two runtimes
//     are compared value by value under these names.
//   - An operator has ONNX's name and ONNX's meaning, restricted as the table
//     in op.go says: the second argument of Add, Sub, Mul and Div broadcasts
//     into the first, never the other way round.
//   - A [Dim] is a number, a letter or a sum of these. Letters are bound only
//     to run ([Bind], [Graph.BindInputs]); equality is the only question asked
//     about them.
//   - An operator with several results (Split) is one Value for each result,
//     told apart by Attr.Result.
//
// Print shows a graph as text, a value a line:
//
//	input_ids I64(B,T) = Input
//	wte.weight F32(65,128) = Param
//	wte F32(B,T,128) = Gather(wte.weight, input_ids) axis=0
//
// [Fingerprint] is the SHA-256 of that text; it travels in checkpoints and in
// ONNX files, and a loader refuses a file made from another graph.
package graph

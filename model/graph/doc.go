// Package graph represents a model as data: a small typed graph in ONNX's own
// vocabulary, with symbolic dimensions. A [Builder] or [Parse] creates it, the
// trainers, the exporter and the oracle read it, and passes transform it: they
// return a new graph.
//
// Every graph that [Verify] accepts has these properties:
//
//   - A [Node] applies an operator to values and has one or more results. A
//     [Value] is defined once and used any number of times.
//   - Nodes are in topological order: an argument comes before its user.
//   - Names are unique, stable and readable ("h.0.attn.scores"). Runtimes are
//     compared value by value under these names.
//   - An operator has ONNX's name and ONNX's meaning, restricted as the doc
//     comment of its type says. Arguments of arithmetic broadcast to one another.
//   - A [Dim] is a polynomial over named dimensions. The names are bound only
//     to run ([Bind], [Graph.BindInputs]).
//   - Inputs and outputs may have a role, which defines their purpose.
//
// [Print] shows a graph as text, one node per line, and [Parse] reads it:
//
//	attnx graph 1
//	input_ids I64(B,T) = Input role=tokens
//	wte.weight F32(65,128) = Param init=normal(0,0.02)
//	wte F32(B,T,128) = Gather(wte.weight, input_ids) axis=0
//	output hidden = wte role=hidden
//
// [Fingerprint] is a SHA-256 of what a graph computes.
package graph

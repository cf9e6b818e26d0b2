// Package diff finds which nodes and values of two ONNX files correspond, and what
// differs between them. Files of any tool are compared, with any operators, domains,
// functions and subgraphs.
//
// Names count for inputs and outputs only: a tool that names all inner values anew,
// or writes the nodes in another order, has changed nothing. Nodes are matched by
// what they compute from what, and by what becomes of it:
//
//   - Inputs, outputs, and the elements of stored values are where the files are
//     known to agree. From them each node gets two hashes: of everything above it,
//     and of everything below it. Whatever lies before the first change has its
//     counterpart by the first, and whatever lies after the last change by the second.
//   - Hashes are computed three times: with attributes and elements, with attributes
//     and shapes, with operators alone. So a changed weight or attribute is found
//     where the wiring agrees.
//   - From each pair the search goes on to the neighbours. What is still ambiguous is
//     told apart by its surroundings, colour refinement of a few rounds, and at last by
//     the order in the file.
//
// A hash only proposes a pair. What is reported is read off the pairs themselves: so a
// collision can hide no difference.
package diff

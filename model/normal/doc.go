// Package normal decides whether two graphs with their weights compute the same
// function of their inputs.
//
// Both graphs are brought into a normal form: operators are decomposed, rewritten
// by rules that hold for all inputs, and numbered, so that two values have one
// number exactly if their normal forms are the same expression of the inputs and
// of the bits of the weights. Names, order, unused nodes, and how a weight is
// stored do not matter. The graphs are identical if outputs of the same names have
// the same numbers.
//
// # What it proves
//
// Identical graphs are equal as functions of real numbers, for every input that
// the first of them takes. Each rule is an equation between real numbers (or
// integers, or truth values) with its reason beside it. A weight equals another by
// its element type and its bits. A constant that a tool computed in advance must
// have the bits that correct rounding gives. So what remains to be tested is
// arithmetic: rounding, overflow, and the runtime's own code.
//
// # What it does not prove
//
// Graphs that differ may still compute the same function: there is no rule for the
// order of a sum, for scaling that moves through a product, or for weights that a
// tool has multiplied with one another. A difference is then not a fault but a
// question, which runs on samples answer. An If that no sample takes, another
// mask, or one node more is a difference.
package normal

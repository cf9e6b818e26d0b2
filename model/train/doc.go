// Package train teaches a network: the loop, the optimizer, the order of the
// data, and the engines that compute losses and gradients.
//
// A [Trainer] takes steps. For each it draws a batch from [Data], lets an
// [Engine] compute the loss and its gradient, shortens the gradient, and moves
// the weights with [AdamW] at the rate of the schedule. It prints nothing:
// what happens is told by an [Event] a step. Every random choice is a function
// of a seed and a counter, so that a run which is stopped and resumed ends
// with the same bytes as one that was not.
//
// The [Gorgonia] engine runs in pure Go. It lowers a graph operator by
// operator (lower.go), lets Gorgonia differentiate, and runs the program with
// memory planned ahead. Its results are the same bits from run to run and for
// any number of cores, on one kind of processor: machines with and without
// fused multiply-add round differently.
package train

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
// Package gorgonia is the engine in pure Go. [Compiled] is the engine that has a
// runtime compute.
package train

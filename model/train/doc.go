// Package train trains a network: the loop, the optimizer, the order of the
// data, and the interface of the engines that compute losses and gradients.
//
// A [Trainer] takes steps. In each it draws a batch from [Data], lets an
// [Engine] compute the loss and its gradient, clips the gradient, and updates
// the weights with [AdamW] at the scheduled learning rate. It prints nothing:
// it reports an [Event] for each step. Every random choice depends only on a
// seed and a counter, so a run that is stopped and resumed ends with the same
// bytes as an uninterrupted one.
//
// Package gorgonia is the engine in pure Go. [Compiled] is the engine that
// computes with a runtime.
package train

// Package gorgonia is the training engine in pure Go. It lowers a graph operator
// by operator (lower.go), lets Gorgonia differentiate, and runs the program with
// memory planned ahead. Its results are the same bits from run to run and for
// any number of cores, on one kind of processor: machines with and without
// fused multiply-add round differently.
package gorgonia

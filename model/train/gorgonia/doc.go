// Package gorgonia is the training engine in pure Go. It lowers a graph
// operator by operator (lower.go), lets Gorgonia differentiate, and runs the
// program with preplanned memory. On one kind of processor its results have
// the same bits in every run and for any number of cores. Machines with and
// without fused multiply-add round differently.
package gorgonia

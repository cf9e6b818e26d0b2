// Package precision changes the number types of a float32 model: to 16-bit
// floating-point types, and weights to integers of 8 or 4 bits. It decides on
// the source graph, by what operators compute, which parts stay float32 and
// what is a weight.
package precision

// Package precision gives the numbers of a model other forms than float32:
// floating-point types of 16 bits, and weights as integers of 8 and 4 bits. What keeps float32, and
// what is a weight, is decided on the graph that a model is written from, by what
// its operators compute.
package precision

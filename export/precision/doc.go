// Package precision gives the numbers of a model other forms than float32:
// floating-point types of 16 bits, and weights as integers of 8 and 4 bits.
package precision

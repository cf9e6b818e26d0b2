// Package npy reads and writes numpy's files of arrays: .npy, and .npz archives
// of them.
//
// It trusts nothing that a file says. The size of an array is checked against
// the bytes that are there before memory is taken for it, and an archive may not
// unpack to more than MaxUnpacked bytes. Arrays of Python objects, which are
// pickles and run code when they are loaded, are refused.
package npy

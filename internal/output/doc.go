// Package output decides what may be written where. It protects inputs, runs
// and files of other programs. Package format/store knows files and runs; this
// package knows what the files contain.
package output

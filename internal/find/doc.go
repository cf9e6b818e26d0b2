// Package find finds the model that a path means: it recognizes the kind of a
// file by its first bytes, the newest whole checkpoint of a run, and the model
// in a folder. It reports what it skips.
package find

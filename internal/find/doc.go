// Package find leads from the path that somebody names to the model that he
// means: the kind of a file by its first bytes, the newest checkpoint of a run
// that is whole, the model in a folder. What is passed over is told.
package find

// Package store writes files that are whole or not there, and keeps the
// checkpoints of a training run.
//
// # A file
//
// Save is for every file a user would miss: checkpoints, exported models,
// pictures. A reader of the path sees the old file or the new one at all times,
// also after a crash or a power cut, as far as the file system keeps the order
// of fsync and rename. SaveFolder is the same for a new folder of files. What
// can be left after such an end is a file or folder ".attnx-*.tmp" beside the
// path; nothing reads it and it may be deleted.
//
// A Claim decides beforehand whether a place may be written to: not if it is
// what the program reads, belongs to a run, or lies in a run that another
// process writes.
//
// # A run
//
// The folder of a run holds
//
//	step-00000200.safetensors   the checkpoint after step 200; never written twice
//	latest                      the name of the newest one, and a line feed
//	best                        the name of the one with the lowest score
//	LOCK                        locked by the process that writes
//	*.corrupt                   what was not whole when the run was taken up again
//
// A save goes: is there room on the disk; a new file; its bytes; fsync; rename
// to the step's name; fsync of the folder; then "latest" and "best" in the same
// way; then the removal of what is no longer to be kept. At every moment the
// newest checkpoint that is whole can be found without the two pointers, by
// name and check, which is how a run is taken up again.
package store

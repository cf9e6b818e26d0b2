// Package store writes files atomically and keeps the checkpoints of a
// training run.
//
// # A file
//
// Save is for every file that a user would miss: checkpoints, exported models,
// pictures. A reader of the path always sees the complete old or the complete
// new file, even after a crash or a power cut, if the file system keeps the
// order of fsync and rename. SaveFolder does the same for a new folder. A
// crash can leave a file or folder ".attnx-*.tmp" next to the path; nothing
// reads it and it can be deleted.
//
// A Claim checks in advance whether a path may be written. It must not be an
// input of the program, a file of a run, or a path inside a run that another
// process writes.
//
// # A run
//
// The folder of a run contains
//
//	step-00000200.safetensors   the checkpoint after step 200; never rewritten
//	latest                      name of the newest checkpoint, and a line feed
//	best                        name of the one with the lowest score
//	LOCK                        locked by the process that writes
//	*.corrupt                   broken files found when the run was reopened
//
// A save checks for space on the disk; writes and fsyncs a new file; renames
// it to the step's name; fsyncs the folder; then writes "latest" and "best" in
// the same way; then removes surplus checkpoints. Reopening a run does not
// need the two pointers: it finds the newest whole checkpoint by name and
// check.
package store

// Package store writes files that are whole or not there.
//
// Save is for every file a user would miss: checkpoints, exported models,
// pictures. A reader of the path sees the old file or the new one at all times,
// also after a crash or a power cut, as far as the file system keeps the order
// of fsync and rename. SaveFolder is the same for a new folder of files. What
// can be left after such an end is a file or folder ".attnx-*.tmp" beside the
// path; nothing reads it and it may be deleted.
package store

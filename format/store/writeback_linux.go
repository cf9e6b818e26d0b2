package store

import (
	"os"
	"syscall"
)

// startWriteback asks the system to begin to write a part of a file to the
// disk, without waiting. It promises nothing: fsync does, and tells what failed.
func startWriteback(f *os.File, from, n int64) {
	const write = 2 // SYNC_FILE_RANGE_WRITE of Linux's <fcntl.h>
	_ = syscall.SyncFileRange(int(f.Fd()), from, n, write)
}

package store

import (
	"os"
	"syscall"
)

// startWriteback asks the kernel to start writing a part of a file to the
// disk, without waiting. It guarantees nothing: fsync does, and reports
// errors.
func startWriteback(f *os.File, from, n int64) {
	const write = 2 // SYNC_FILE_RANGE_WRITE of Linux's <fcntl.h>
	_ = syscall.SyncFileRange(int(f.Fd()), from, n, write)
}

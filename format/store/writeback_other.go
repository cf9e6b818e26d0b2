//go:build !linux

package store

import "os"

// startWriteback does nothing: the system begins when it likes.
func startWriteback(*os.File, int64, int64) {}

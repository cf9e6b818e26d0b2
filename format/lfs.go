package format

import "bytes"

// LFSPointer is the error text for a file that IsLFSPointer reports.
const LFSPointer = "it is a Git LFS pointer, which only names the file: fetch the file itself with git lfs pull"

// MaxLFSPointer is the maximum size of a Git LFS pointer, in bytes.
const MaxLFSPointer = 1024

// IsLFSPointer reports whether a file that starts with head is a Git LFS
// pointer. Pass at least 64 bytes if the file has them. A repository cloned
// without Git LFS has such a three-line text in place of each large file.
func IsLFSPointer(head []byte) bool {
	return bytes.HasPrefix(head, []byte("version https://git-lfs.github.com/spec/")) ||
		bytes.HasPrefix(head, []byte("version https://hawser.github.com/spec/")) // its former name
}

package format

import "bytes"

// LFSPointer is what an error says of a file that IsLFSPointer reports.
const LFSPointer = "it is a Git LFS pointer, which only names the file: fetch the file itself with git lfs pull"

// MaxLFSPointer is the most bytes that a Git LFS pointer has.
const MaxLFSPointer = 1024

// IsLFSPointer reports whether a file that begins with head, of 64 bytes or
// more if the file has as many, is a Git LFS pointer. Such a text of three
// lines stands for every large file of a repository that was cloned without
// Git LFS.
func IsLFSPointer(head []byte) bool {
	return bytes.HasPrefix(head, []byte("version https://git-lfs.github.com/spec/")) ||
		bytes.HasPrefix(head, []byte("version https://hawser.github.com/spec/")) // its first name
}

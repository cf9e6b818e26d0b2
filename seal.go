package attnx

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
)

// VerifySeal compares every byte of a checkpoint, or of the newest one of a run,
// with its seal. It returns the file that it read, and the seal's root hash in
// hexadecimal.
func VerifySeal(path string, tell Tell) (file, root string, err error) {
	if path, err = find.Resolve(path, tell); err != nil {
		return path, "", err
	}
	if _, err := find.Expect(path, "a safetensors file", find.Safetensors); err != nil {
		return path, "", err
	}
	f, err := format.Open(path)
	if err != nil {
		return path, "", err
	}
	defer f.Close()
	if err := f.Verify(); err != nil {
		return path, "", err
	}
	return path, f.Seal().Root.String(), nil
}

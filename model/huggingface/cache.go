package huggingface

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// blobLink matches the target of a link in a snapshot: Hugging Face's cache
// stores REPO/snapshots/COMMIT/NAME as a link to REPO/blobs/HASH, and files in
// a folder of the model one step deeper.
var blobLink = regexp.MustCompile(`^\.\./\.\./(?:\.\./)?blobs/([0-9a-f]{40}|[0-9a-f]{64})$`)

// blob opens the target of a link in a snapshot of Hugging Face's cache. It
// rejects any other link, and a blob that is not a regular file, so that a
// cache from someone else cannot lead out of itself.
func (d *folder) blob(name string) (*os.File, error) {
	target, err := d.root.Readlink(name)
	if err != nil {
		return nil, d.errorf(name, "%w", cause(err))
	}
	repo, ok := d.repository()
	match := blobLink.FindStringSubmatch(filepath.ToSlash(target))
	if !ok || match == nil {
		return nil, d.errorf(name, "it is a symbolic link, which is followed only from a snapshot in Hugging Face's cache to the blobs beside it: copy the folder with cp -rL and read the copy")
	}
	root, err := os.OpenRoot(repo)
	if err != nil {
		return nil, d.errorf(name, "%w", cause(err))
	}
	defer root.Close()
	f, err := openBlob(root, match[1])
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("the cache lacks its blob " + match[1] + ": download the model again")
	}
	if err != nil {
		return nil, d.errorf(name, "%w", cause(err))
	}
	return f, nil
}

// repository returns the model's folder in the cache, if this folder is one of
// its snapshots.
func (d *folder) repository() (path string, ok bool) {
	full, err := filepath.Abs(d.path)
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	snapshots := filepath.Dir(full)
	return filepath.Dir(snapshots), err == nil && filepath.Base(snapshots) == "snapshots"
}

func openBlob(root *os.Root, hash string) (*os.File, error) {
	blobs, err := root.Lstat("blobs")
	if err != nil {
		return nil, err
	}
	name := filepath.Join("blobs", hash)
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !blobs.IsDir() || !info.Mode().IsRegular() {
		return nil, errors.New("its blob " + hash + " is not a regular file: copy the folder with cp -rL and read the copy")
	}
	return openSame(root, name, info)
}

package check

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// external checks that the elements of a tensor are in a file inside the folder of
// the model. onnx.Check checks the length of the file.
func (c *checker) external(t *onnx.Tensor, where string) {
	for _, location := range append([]string{t.External.Location}, t.External.More...) {
		c.location(location, where)
	}
}

func (c *checker) location(location, where string) {
	plain := path.Clean(location)
	switch {
	case location == "":
		c.bad(where, "external data without a location")
		return
	case path.IsAbs(location) || strings.Contains(plain, ".."):
		c.bad(where, "external data %.80q: the path leaves the model's folder", location)
		return
	case c.dir == "":
		return
	}
	if why := c.place(filepath.Join(c.dir, filepath.FromSlash(plain))); why != "" {
		c.bad(where, "external data %.80q: %s", location, why)
	}
}

// place returns why a file must not contain data of the model; empty if it may.
func (c *checker) place(file string) string {
	info, err := os.Lstat(file)
	var broken *fs.PathError
	switch {
	case errors.As(err, &broken):
		return broken.Err.Error()
	case err != nil:
		return "it cannot be read"
	case !info.Mode().IsRegular():
		return "it is a symbolic link or not a regular file"
	}
	dir, err := filepath.EvalSymlinks(c.dir)
	if err != nil {
		return "the model's folder cannot be read"
	}
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return "it cannot be read"
	}
	if inside, err := filepath.Rel(dir, real); err != nil || !filepath.IsLocal(inside) {
		return "a link on the way to it leaves the model's folder"
	}
	return ""
}

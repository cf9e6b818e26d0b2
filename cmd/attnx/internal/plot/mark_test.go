package plot

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/attnx/attnx/internal/output"
)

// A picture with our mark is still a picture, and others have no mark.
func TestPictureMark(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.png", "a.svg"} {
		path := filepath.Join(dir, name)
		if err := savePicture(path, 2*vg.Centimeter, 2*vg.Centimeter, func(draw.Canvas) {}); err != nil {
			t.Fatal(err)
		}
		if err := replaces(path); err != nil {
			t.Errorf("%s has no mark: %v", name, err)
		}
	}
	f, err := os.Open(filepath.Join(dir, "a.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m, err := png.Decode(f); err != nil {
		t.Errorf("the marked picture: %v", err)
	} else {
		other, err := os.Create(filepath.Join(dir, "other.png"))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := png.Encode(other, m); err != nil || replaces(other.Name()) == nil {
			t.Errorf("another tool's picture passes for ours (%v)", err)
		}
	}
}

// replaces reports why a picture may not be put in the place of a file.
func replaces(path string) error {
	c, err := output.Claim(output.Picture, path)
	if err == nil {
		err = c.Close()
	}
	return err
}

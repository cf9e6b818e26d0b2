package find

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/format"
	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/gguf"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
)

// Resolve returns the checkpoint file for the path that a user gave. For a
// run's folder that is its newest complete checkpoint; for a pointer, "latest"
// or "best", the file that it names. It returns any other path unchanged. It
// reports skipped files to tell.
func Resolve(path string, tell Tell) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return path, nil // the code that opens it reports the error
	}
	if name := filepath.Base(path); info.Mode().IsRegular() && (name == store.LatestName || name == store.BestName) {
		if to, err := store.Follow(path); err == nil {
			tell.Say(Detail, "%s is %s", path, to)
			return to, nil
		}
		return path, nil
	}
	if !info.IsDir() {
		return path, nil
	}
	newest, broken, err := store.Newest(path, model.CheckSeal)
	if err != nil {
		return "", explained(path, err)
	}
	for _, b := range broken {
		tell.Say(Warning, "skipped, not whole: %s", quote.Line(b.Reason.Error(), 2000))
	}
	tell.Say(Detail, "%s is %s", path, newest)
	return newest, nil
}

// Loader reads a checkpoint file: model.Load, or model.LoadModel if the
// training state is not needed.
type Loader func(path string) (*model.Checkpoint, error)

// Load reads the model at path: a checkpoint, a run's folder, a Hugging Face
// folder or a GGUF file. It also returns the path of the file or folder that it
// read.
func Load(path string, tell Tell, load Loader) (*model.Checkpoint, string, error) {
	path = Held(path)
	if huggingface.IsFolder(path) {
		c, rounding, err := ReadFolder(path, tell)
		if err == nil && rounding.Changed > 0 {
			tell.Say(Notice, "%s: rounding to float32 changed %s weights, by at most %.3g", path, quote.Count(rounding.Changed), rounding.MaxAbs)
		}
		return c, path, err
	}
	if IsFolder(path) {
		return loadNewest(path, tell, load)
	}
	path, err := Resolve(path, tell)
	if err != nil {
		return nil, "", err
	}
	kind, err := expectCheckpoint(path)
	if err != nil {
		return nil, "", err
	}
	if kind == GGUF {
		c, err := readGGUF(path, tell)
		return c, path, err
	}
	c, err := load(path)
	if err != nil {
		return nil, "", err
	}
	if c.Seal == nil {
		tell.Say(Notice, "%s has no seal: only weights were read, and nothing shows whether they are as saved", path)
	}
	return c, path, nil
}

// loadNewest reads the newest checkpoint of a run that matches its checksums.
// Another process may be writing the run and prune the file just found.
func loadNewest(dir string, tell Tell, load Loader) (c *model.Checkpoint, path string, err error) {
	path, broken, err := store.Newest(dir, func(path string, r io.ReaderAt, size int64) (float64, error, error) {
		score, broken, err := model.CheckSeal(path, r, size)
		if broken != nil || err != nil {
			return score, broken, err
		}
		c, err = load(path)
		if Damaged(err) {
			return score, err, nil
		}
		return score, nil, err
	})
	if err != nil {
		return nil, "", explained(dir, err)
	}
	for _, b := range broken {
		tell.Say(Warning, "skipped, not whole: %s", quote.Line(b.Reason.Error(), 2000))
	}
	tell.Say(Detail, "%s is %s", dir, path)
	return c, path, nil
}

// IsGGUF reports whether a path is that of a GGUF file.
func IsGGUF(path string) bool {
	kind, err := expectCheckpoint(path)
	return err == nil && kind == GGUF
}

// ReadPacked reads a GGUF file as gguf.ReadPacked does. It reports to tell what it
// leaves out.
func ReadPacked(path string, can func(*graph.Graph) map[string]bool, tell Tell) (*model.Checkpoint, map[string]format.Blocks, error) {
	c, packed, notes, err := gguf.ReadPacked(path, can)
	tellNotes(notes, tell)
	return c, packed, err
}

// ReadLowBits reads a GGUF file as gguf.ReadLowBits does. It reports to tell what it
// leaves out.
func ReadLowBits(path string, tell Tell) (*model.Checkpoint, error) {
	c, notes, err := gguf.ReadLowBits(path)
	tellNotes(notes, tell)
	return c, err
}

// readGGUF reads a GGUF file. It reports to tell what it leaves out.
func readGGUF(path string, tell Tell) (*model.Checkpoint, error) {
	c, notes, err := gguf.Read(path)
	tellNotes(notes, tell)
	return c, err
}

func tellNotes(notes []string, tell Tell) {
	for _, note := range notes {
		tell.Say(Warning, "%s", quote.Line(note, 2000))
	}
}

// Damaged reports whether an error is about the bytes of a file.
func Damaged(err error) bool {
	var bad *format.FormatError
	var seal *format.SealError
	var badGGUF *blocks.FormatError
	return errors.As(err, &bad) || errors.As(err, &seal) || errors.As(err, &badGGUF)
}

// Again repeats do while the file that it found disappears before it opens it:
// a running training may prune a checkpoint in between.
func Again(path string, do func() error) error {
	var err error
	for range 10 {
		if err = do(); !IsFolder(path) || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

func IsFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

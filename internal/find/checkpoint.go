package find

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// Resolve returns the file that a user means by a run's folder, its newest
// checkpoint that was written to its end, or by its pointers "latest" and
// "best". Any other path is returned as it is. What was passed over is said.
func Resolve(path string, tell Tell) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return path, nil // whoever opens it says what is wrong
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
		tell.Say(Warning, "passed over, not whole: %s", quote.Line(b.Reason.Error(), 2000))
	}
	tell.Say(Detail, "%s is %s", path, newest)
	return newest, nil
}

// A loader reads a checkpoint file: model.Load, or model.LoadModel for those who
// need no training state.
type Loader func(path string) (*model.Checkpoint, error)

// Load reads the model that a user names: a checkpoint, a run's
// folder or a Hugging Face folder. It also returns the path of what was read.
func Load(path string, tell Tell, load Loader) (*model.Checkpoint, string, error) {
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
	if err == nil {
		err = expectCheckpoint(path)
	}
	if err != nil {
		return nil, "", err
	}
	c, err := load(path)
	if err != nil {
		return nil, "", err
	}
	if c.Seal == nil {
		tell.Say(Notice, "%s has no seal: weights only, and nothing shows whether they are what was saved", path)
	}
	return c, path, nil
}

// loadNewest reads the newest checkpoint of a run that is whole, as its
// checksums tell. The run may be going on, and prune what was just found.
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
		tell.Say(Warning, "passed over, not whole: %s", quote.Line(b.Reason.Error(), 2000))
	}
	tell.Say(Detail, "%s is %s", dir, path)
	return c, path, nil
}

// Damaged reports whether an error is about the bytes of a file.
func Damaged(err error) bool {
	var bad *format.FormatError
	var seal *format.SealError
	return errors.As(err, &bad) || errors.As(err, &seal)
}

// Again calls do until it finds what it opens: the checkpoint of a run that is
// going on may be pruned between the look into its folder and the opening.
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

package output

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/format/store"
)

// Fresh claims and creates the folder of a run: name, or the first of name-2,
// name-3, ... that does not exist.
func Fresh(name string) (folder string, place *store.Claim, err error) {
	name = strings.TrimRight(name, string(filepath.Separator))
	folder = name
	for n := 2; n < 10000; n++ {
		if place, err = makeFresh(folder); !errors.Is(err, fs.ErrExist) {
			return folder, place, err
		}
		folder = fmt.Sprintf("%s-%d", name, n)
	}
	return "", nil, fmt.Errorf("%s: 10,000 folders of this name exist: choose another", name)
}

func makeFresh(folder string) (*store.Claim, error) {
	if _, err := os.Lstat(folder); err == nil {
		return nil, fs.ErrExist
	}
	place, err := Claim(Run, folder)
	if err != nil {
		return nil, err
	}
	if err = os.MkdirAll(filepath.Dir(folder), 0o777); err == nil {
		err = os.Mkdir(folder, 0o777)
	}
	if err != nil {
		return nil, errors.Join(err, place.Close())
	}
	return place, nil
}

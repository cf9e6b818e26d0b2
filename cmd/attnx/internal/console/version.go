package console

import (
	"fmt"
	"io"
	goruntime "runtime"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
)

// PrintVersion writes the build of attnx, and the libraries that the runtimes
// find. It does not load them.
func PrintVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "attnx %s\n%s %s/%s\n", attnx.Version(), goruntime.Version(), goruntime.GOOS, goruntime.GOARCH)
	for _, l := range attnx.Libraries() {
		path, source, findErr := l.Find("", "")
		found := fmt.Sprintf("%s (%s)", path, source)
		if findErr != nil {
			found = words.Of(findErr)
		}
		_, err = fmt.Fprintf(w, "%s: %s\n", l.Title, found)
	}
	return err
}

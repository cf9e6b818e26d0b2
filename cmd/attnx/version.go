package main

import (
	"cmp"
	"fmt"
	"io"
	goruntime "runtime"
	"runtime/debug"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
)

// printVersion writes the build of attnx, and the libraries that the runtimes
// find. It does not load them.
func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "attnx %s\n%s %s/%s\n", buildVersion(debug.ReadBuildInfo()), goruntime.Version(), goruntime.GOOS, goruntime.GOARCH)
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

// buildVersion returns the module's version and, if the build records it, the
// revision on a second line: "v1.2.3" and "revision 0123456789ab, modified".
func buildVersion(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return "(unknown)" // not built with modules
	}
	text := cmp.Or(info.Main.Version, "(devel)")
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = fmt.Sprintf("\nrevision %.12s", s.Value)
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", modified"
		}
	}
	if revision == "" {
		return text
	}
	return text + revision + modified
}

package attnx

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// Version returns the version of attnx and, if the build records it, the revision on a
// second line: "v1.2.3" and "revision 0123456789ab, modified".
func Version() string { return buildVersion(debug.ReadBuildInfo()) }

const modulePath = "github.com/attnx/attnx"

// buildVersion returns the version that a build records.
func buildVersion(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return "(unknown)" // not built with modules
	}
	for _, d := range info.Deps { // attnx is a library of another program
		if d.Path == modulePath {
			return cmp.Or(d.Version, "(devel)")
		}
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
